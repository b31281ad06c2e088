#include "client/main/house.h"

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "certs/home.h"
#include "certs/model_manifest.h"
#include "client/data/contact_sheet.h"
#include "client/data/manifest.h"
#include "client/main/json_text.h"
#include "client/main/subject.h"
#include "client/session/local.h"
#include "client/session/model_shelf.h"
#include "client/session/plan_options.h"
#include "client/session/run_course.h"
#include "common/base/mutex.h"
#include "common/config/site.h"
#include "common/metrics/report_html.h"
#include "common/metrics/report_text.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr int kColumns = 8;
constexpr int kRows = 4;

StatusOr<Manifest> ManifestOf(const fs::path& dir) {
  CSL_ASSIGN_OR_RETURN(const v1::SiteConfig site, ReadSiteOfFolder(dir));
  if (site.data().path().empty()) {
    return FailedPrecondition("site.yaml has no data.path: say where this hospital's images are");
  }
  return ReadSplitManifest(ToDataSource(site.data()));
}

StatusOr<std::string> TellData(const fs::path& dir) {
  CSL_ASSIGN_OR_RETURN(const Manifest manifest, ManifestOf(dir));
  Json counts = Json::object();
  for (const Split split : {Split::kTrain, Split::kValidation, Split::kTest}) {
    const auto labels = CountLabels(Select(manifest, split));
    if (!labels.empty()) counts[SplitName(split)] = labels;
  }
  return ToText(Json{{"counts", counts}});
}

StatusOr<std::string> ShowContactSheet(const fs::path& dir) {
  CSL_ASSIGN_OR_RETURN(const Manifest manifest, ManifestOf(dir));
  return EncodeContactSheet(Select(manifest, Split::kTrain), kColumns, kRows);
}

// The page speaks of the model that it was begun with.
Status CheckSame(const std::string& pulled, const std::string& in_use) {
  if (pulled == in_use) return OkStatus();
  return FailedPrecondition("another model was pulled since: start serve again");
}

StatusOr<std::string> Evaluate(const fs::path& dir, const std::string& digest,
                               const std::stop_token& stop) {
  CSL_ASSIGN_OR_RETURN(const UsableModel usable, ReadUsableModel(dir, ""));
  CSL_RETURN_IF_ERROR(CheckSame(usable.digest, digest));
  CSL_ASSIGN_OR_RETURN(const v1::SiteConfig site, ReadSiteOfFolder(dir));
  CSL_ASSIGN_OR_RETURN(const ScoredImages scored, ScoreModel(usable.model, site, {}, stop));
  const auto& classes = usable.model.info.spec.classes;
  return ToText(Json{{"classes", classes},
                     {"report", ReportToJson(scored.scores, classes)},
                     {"roc_svg", ToSvg(RocPlot(Count(scored.scores), classes))}});
}

// Who made the model in use, and how its run went.
StatusOr<std::string> TellTraining(const fs::path& dir, const std::string& digest) {
  CSL_ASSIGN_OR_RETURN(const Home home, ReadHome(dir));
  CSL_ASSIGN_OR_RETURN(const Certificate root, Certificate::FromPem(home.ca_pem));
  CSL_ASSIGN_OR_RETURN(const ModelShelf shelf, ModelShelf::Open(dir, /*accept_unsigned=*/false));
  CSL_ASSIGN_OR_RETURN(const v1::ModelManifest manifest,
                       VerifyModelFile(shelf.current(), root, SystemClock().Now()));
  CSL_RETURN_IF_ERROR(CheckSame(manifest.digest(), digest));
  CSL_ASSIGN_OR_RETURN(const Json course, RunCourse(dir).Read(manifest.run_id()));
  Json participants = Json::array();
  for (const v1::Participant& one : manifest.participants()) {
    participants.push_back({{"site", one.site()}, {"train_examples", one.train_examples()}});
  }
  Json scores = Json::array();
  for (const v1::SiteScore& one : manifest.site_scores()) scores.push_back(ToJson(one));
  return ToText(Json{{"run", manifest.run_id()},
                     {"round", manifest.round()},
                     {"participants", participants},
                     {"site_scores", scores},
                     {"course", course}});
}

// Made once: the model and, while a page is open, the images are what they are.
class EvaluationOnce {
 public:
  EvaluationOnce(fs::path dir, std::string digest)
      : dir_(std::move(dir)), digest_(std::move(digest)) {}

  StatusOr<std::string> Tell(const std::stop_token& stop) {
    MutexLock lock(mu_);
    if (!told_) {
      CSL_ASSIGN_OR_RETURN(told_, Evaluate(dir_, digest_, stop));
    }
    return *told_;
  }

 private:
  const fs::path dir_;
  const std::string digest_;
  Mutex mu_;
  std::optional<std::string> told_ ABSL_GUARDED_BY(mu_);
};

}  // namespace

Json ToJson(const std::vector<PlanEntry>& plans) {
  Json list = Json::array();
  for (const PlanEntry& entry : plans) {
    list.push_back({{"hash", entry.hash},
                    {"name", entry.name},
                    {"run", entry.run_id},
                    {"decision", PlanDecisionName(entry.decision)},
                    {"by", entry.by},
                    {"first_seen_unix_ms", ToUnixMillis(entry.first_seen)},
                    {"plan", Json::parse(entry.plan, nullptr, /*allow_exceptions=*/false)}});
  }
  return list;
}

Json ToJson(const std::vector<Sending>& outbox) {
  Json list = Json::array();
  for (const Sending& sending : outbox) {
    list.push_back({{"time", sending.time},
                    {"task", sending.task_id},
                    {"bytes", sending.bytes},
                    {"train_examples", sending.train_examples},
                    {"norm", sending.norm},
                    {"digest", sending.digest}});
  }
  return list;
}

Json ToJson(const v1::SiteScore& score) {
  return {{"site", score.site()},
          {"examples", score.examples()},
          {"accuracy", score.accuracy()},
          {"balanced_accuracy", score.balanced_accuracy()}};
}

House HouseOf(const fs::path& dir, const std::string& digest) {
  const auto evaluation = std::make_shared<EvaluationOnce>(dir, digest);
  return {
      .plans = [dir](const std::stop_token&) -> StatusOr<std::string> {
        CSL_ASSIGN_OR_RETURN(const auto plans, PlanBook(dir).List());
        return ToText(ToJson(plans));
      },
      .outbox = [dir](const std::stop_token&) -> StatusOr<std::string> {
        CSL_ASSIGN_OR_RETURN(const auto outbox, ReadOutbox(dir));
        return ToText(ToJson(outbox));
      },
      .data = [dir](const std::stop_token&) { return TellData(dir); },
      .contact_sheet = [dir](const std::stop_token&) { return ShowContactSheet(dir); },
      .training = [dir, digest](const std::stop_token&) { return TellTraining(dir, digest); },
      .evaluation = [evaluation](const std::stop_token& stop) { return evaluation->Tell(stop); }};
}

}  // namespace consilium
