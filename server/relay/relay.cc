#include "server/relay/relay.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "certs/home.h"
#include "certs/identity.h"
#include "certs/model_manifest.h"
#include "client/link/consent.h"
#include "client/link/coordinator_link.h"
#include "client/link/sent_update.h"
#include "client/link/task_loop.h"
#include "common/audit/trail.h"
#include "common/base/file.h"
#include "common/config/site.h"
#include "common/crypto/digest.h"
#include "common/model/model_state.h"
#include "common/model/stage.h"
#include "common/rpc/channel.h"
#include "common/rpc/protocol.h"
#include "server/aggregate/mapped_model.h"
#include "server/relay/region_plan.h"
#include "server/relay/region_sum.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::milliseconds kLook{500};  // whether the task is still wanted
constexpr std::chrono::seconds kPauseAfterAccident{30};

// What a task leaves for its model's way up.
constexpr double kShareOfTime = 0.9;

// When the region's hospitals must be done.
TimePoint DeadlineOf(const v1::Task& task, TimePoint now) {
  const auto left = FromUnixMillis(task.deadline_unix_ms()) - now;
  return now + std::chrono::duration_cast<std::chrono::milliseconds>(kShareOfTime * left);
}

// The task is of the round after its model's.
Status CheckRound(const v1::Task& task) {
  if (std::uint64_t{task.model().round()} + 1 == task.round() &&
      task.round() <= std::uint64_t{task.plan().rounds()} + 1) {
    return OkStatus();
  }
  return InvalidArgument("a task of round {} of {} with the model of round {}", task.round(),
                         task.plan().rounds(), task.model().round());
}

// Does the higher coordinator's tasks with the region's hospitals.
class RegionWorker final : public TaskWorker {
 public:
  RegionWorker(const std::string& name, const Certificate& root, const v1::SiteConfig& site,
               const fs::path& folder, CoordinatorLink& link, Coordinator& coordinator)
      : TaskWorker("region"),
        name_(name),
        root_(root),
        consent_(site, folder),
        link_(link),
        coordinator_(coordinator) {}

  StatusOr<Outcome> Perform(const v1::Task& task, TaskReporter& reporter) override {
    stage_ = "checking the plan";
    const Status allowed = consent_.Ask(task, reporter);
    if (!allowed.ok()) return IsDecision(allowed) ? Refuse(allowed) : allowed;
    const auto plan = RegionPlan(task.plan());
    if (!plan.ok()) return Refuse(plan.status());
    const std::string region_plan = plan->SerializeAsString();
    switch (task.kind()) {
      case v1::TASK_KIND_INITIALISE: {
        stage_ = "asking the region's hospitals";
        CSL_RETURN_IF_ERROR(coordinator_.Follow(task.run_id(), region_plan, std::nullopt));
        CSL_ASSIGN_OR_RETURN(const RunState run, AwaitRegion(task, reporter));
        return Made(run);
      }
      case v1::TASK_KIND_TRAIN:
      case v1::TASK_KIND_EVALUATE: {
        CSL_ASSIGN_OR_RETURN(const ModelVersion model, Fetch(task, reporter));
        stage_ = "asking the region's hospitals";
        CSL_RETURN_IF_ERROR(coordinator_.Follow(
            task.run_id(), region_plan, ModelGiven{model, DeadlineOf(task, SystemClock().Now())}));
        CSL_ASSIGN_OR_RETURN(const RunState run, AwaitRegion(task, reporter));
        stage_ = "summing what the region's hospitals did";
        CSL_ASSIGN_OR_RETURN(v1::TaskResult sum, SumOf(run));
        return task.kind() == v1::TASK_KIND_TRAIN ? Update(task, run, std::move(sum))
                                                  : Evaluated(std::move(sum));
      }
      default:
        return InvalidArgument("a task of a kind that this version does not know");
    }
  }

  void Forget() override {
    mapped_.reset();
    encoded_ = {};
  }

 private:
  // The task's model into the region's store, which nothing is read of before its coordinator is
  // known to answer for it.
  StatusOr<ModelVersion> Fetch(const v1::Task& task, TaskReporter& reporter) {
    stage_ = "checking the global model's manifest";
    CSL_RETURN_IF_ERROR(CheckRound(task));
    CSL_ASSIGN_OR_RETURN(const v1::ModelManifest manifest,
                         VerifyManifest(task.manifest(), root_, SystemClock().Now()));
    CSL_RETURN_IF_ERROR(CheckManifestIsOf(manifest, task.model()));
    stage_ = "fetching the global model";
    const std::string& digest = task.model().digest();
    const std::uint64_t bytes = task.model().size_bytes();
    if (!IsDigest(digest) || bytes > kMaxModelBytes) {
      return InvalidArgument("the global model is named '{}' and has {} bytes, want at most {}",
                             digest, bytes, kMaxModelBytes);
    }
    const BlobStore& blobs = coordinator_.blobs();
    if (!blobs.Has(digest)) {
      const fs::path path = blobs.UploadPath(digest, kHigherCoordinator);
      const auto download = [&](const TransferCallback& on_chunk) {
        return link_.client().Download(digest, bytes, path, reporter.stop_token(), on_chunk);
      };
      CSL_RETURN_IF_ERROR(link_.Transfer(v1::TASK_STAGE_FETCHING_MODEL, reporter, download));
      std::error_code error;  // a blob is the coordinator's alone
      fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write, error);
    }
    return ModelVersion{.round = static_cast<int>(task.model().round()),
                        .digest = digest,
                        .bytes = bytes,
                        .moments_digest = "",
                        .change_digest = ""};
  }

  // Until the region's hospitals have done what the task asks, or will not.
  StatusOr<RunState> AwaitRegion(const v1::Task& task, TaskReporter& reporter) {
    const std::stop_token stop = reporter.stop_token();
    reporter.Enter(v1::TASK_STAGE_WAITING_FOR_SITES);
    RunState run;
    while (!stop.stop_requested()) {
      CSL_ASSIGN_OR_RETURN(run, coordinator_.AwaitChange(task.run_id(), run, kLook));
      if (IsDone(task, run)) return run;
      if (IsFinal(run.status) || run.status == RunStatus::kPaused ||
          run.status == RunStatus::kAwaitingModel) {
        return FailedPrecondition("the region's run is {}: {}", RunStatusName(run.status),
                                  run.reason);
      }
      // How many they are is the region's own.
      const auto of_round = std::ranges::count(run.tasks, run.round, &TaskState::round);
      const auto ended = std::ranges::count_if(run.tasks, [&](const TaskState& state) {
        return state.round == run.round && state.status != TaskStatus::kOpen;
      });
      if (of_round > 0) reporter.Advance(static_cast<std::uint64_t>(100 * ended / of_round), 100);
    }
    // The process ends, and goes on with the task when it starts again; or nobody wants it any
    // more.
    if (reporter.has_ended()) {
      CSL_RETURN_IF_ERROR(coordinator_.EndRound(task.run_id(), static_cast<int>(task.round())));
    }
    return Cancelled("stopped");
  }

  static bool IsDone(const v1::Task& task, const RunState& run) {
    if (task.kind() == v1::TASK_KIND_EVALUATE) {
      return run.status == RunStatus::kCompleted || run.status == RunStatus::kDegraded;
    }
    return run.status == RunStatus::kAwaitingModel && !run.regional.digest.empty() &&
           run.regional.round == static_cast<int>(task.round());
  }

  static StatusOr<Outcome> Evaluated(v1::TaskResult sum) {
    Outcome outcome;
    *outcome.report.mutable_result() = std::move(sum);
    return outcome;
  }

  // What the region has made, as it lies in the store.
  StatusOr<Outcome> Made(const RunState& run) {
    Outcome outcome;
    CSL_ASSIGN_OR_RETURN(mapped_, MapModel(coordinator_.blobs(), run.regional.digest));
    outcome.update = mapped_->file->bytes();
    outcome.report.mutable_result()->set_blob_digest(run.regional.digest);
    return outcome;
  }

  StatusOr<Outcome> Update(const v1::Task& task, const RunState& run, v1::TaskResult sum) {
    CSL_ASSIGN_OR_RETURN(Outcome outcome, Made(run));
    sum.set_blob_digest(run.regional.digest);
    v1::TaskResult& result = *outcome.report.mutable_result();
    result = std::move(sum);

    CSL_ASSIGN_OR_RETURN(const MappedModel base,
                         MapModel(coordinator_.blobs(), task.model().digest()));
    const Layout& layout = *base.header.layout;
    const TensorMask frozen =
        FrozenTensors(layout, run.config.stages, run.round, run.config.rounds);
    outcome.update_norm =
        NormOfChange(layout, base.values(), mapped_->values(), PlacesWithout(layout, frozen));
    if (run.config.update_encoding == UpdateEncoding::kFloat32) return outcome;
    ModelState whole(base.header.layout);
    whole.values.assign(base.values().begin(), base.values().end());
    const ModelState part = PartOf(whole, Inverse(frozen));
    std::vector<float> residual;
    CSL_ASSIGN_OR_RETURN(encoded_, EncodeToSend(task.plan(), name_,
                                                {mapped_->header.info, *mapped_->header.layout,
                                                 part.values, mapped_->values()},
                                                residual));
    outcome.update = AsBytes(encoded_);
    result.set_blob_digest(Sha256Of(encoded_));
    return outcome;
  }

  const std::string name_;
  const Certificate root_;
  const Consent consent_;
  CoordinatorLink& link_;
  Coordinator& coordinator_;
  // Of the task in hand.
  std::optional<MappedModel> mapped_;  // what it came to
  std::string encoded_;                // that, where the plan wants it encoded
};

}  // namespace

// In the order of need: each outlives those below it.
struct Relay::Parts {
  Parts(const Home& home, const std::string& name, const Certificate& root,
        const v1::SiteConfig& site, const fs::path& folder, FileDescriptor held,
        std::unique_ptr<AuditTrail> own_trail, Coordinator& coordinator)
      : lock(std::move(held)),
        trail(std::move(own_trail)),
        link(home, folder, *trail, site.policy(), stop.get_token()),
        worker(name, root, site, folder, link, coordinator),
        loop(link, *trail, root, worker, stop.get_token()),
        federation(home.federation) {}

  std::stop_source stop;
  const FileDescriptor lock;
  const std::unique_ptr<AuditTrail> trail;
  CoordinatorLink link;
  RegionWorker worker;
  TaskLoop loop;
  const std::string federation;
};

StatusOr<std::unique_ptr<Relay>> Relay::Start(const fs::path& folder, Coordinator& coordinator) {
  CSL_ASSIGN_OR_RETURN(const Home home, ReadHome(folder));
  CSL_ASSIGN_OR_RETURN(const v1::SiteConfig site, ReadSiteOfFolder(folder));
  if (site.policy().max_epochs() > 0 || site.policy().max_task_hours() > 0) {
    return FailedPrecondition(
        "{}: policy.max_epochs and max_task_hours are for each hospital to say; a region has no "
        "training of its own",
        (folder / kSiteFile).string());
  }
  CSL_ASSIGN_OR_RETURN(FileDescriptor lock, LockFolder(folder));
  CSL_ASSIGN_OR_RETURN(const Certificate root, Certificate::FromPem(home.ca_pem));
  CSL_ASSIGN_OR_RETURN(const Certificate own, Certificate::FromPem(home.certificate_pem));
  CSL_ASSIGN_OR_RETURN(const Identity identity, IdentityOf(own));
  static const SystemClock clock;  // the trail's
  CSL_ASSIGN_OR_RETURN(auto trail, AuditTrail::Open(folder / kTrailFile, clock));
  CSL_RETURN_IF_ERROR(trail->Append(
      "started", {{"software", SoftwareVersion()},
                  {"settings", Sha256Of(ReadFile(folder / kSiteFile).value_or(""))}}));
  spdlog::info("region '{}' of federation '{}' at {}", identity.name, home.federation,
               home.endpoint);
  return std::unique_ptr<Relay>(new Relay(std::make_unique<Parts>(
      home, identity.name, root, site, folder, std::move(lock), std::move(trail), coordinator)));
}

Relay::Relay(std::unique_ptr<Parts> parts)
    : parts_(std::move(parts)), thread_([this] { Run(*parts_); }) {}

void Relay::Run(Parts& parts) {
  const std::stop_token stop = parts.stop.get_token();
  while (true) {
    const Status ended = parts.loop.Run("");
    if (ended.ok() || stop.stop_requested()) return;
    if (IsRefusal(ended)) {
      spdlog::error("no region of '{}' any more: {}; restart once that is mended", parts.federation,
                    std::string(ended.message()));
      return;
    }
    // An accident of this machine, such as a full disk.
    spdlog::error("region of '{}': {}", parts.federation, std::string(ended.message()));
    SleepFor(kPauseAfterAccident, stop);
  }
}

Relay::~Relay() { parts_->stop.request_stop(); }

}  // namespace consilium
