#include "server/relay/relay.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <optional>

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
#include "common/rpc/protocol.h"
#include "common/wire/convert.h"
#include "server/aggregate/mapped_model.h"
#include "server/relay/region_plan.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::milliseconds kLook{500};  // whether the task is still wanted

// What the region's hospitals did in the run's round, as one hospital would say it.
StatusOr<v1::TaskResult> SumOf(const RunState& run) {
  v1::TaskResult result;
  Evaluation evaluation;
  double loss = 0;
  for (const auto& [site, task] : DeliveredTasks(run)) {
    const TaskResult& own = task->result;
    CSL_RETURN_IF_ERROR(evaluation.Merge(own.evaluation));
    result.set_train_examples(result.train_examples() + own.train_examples);
    result.set_steps(result.steps() + own.steps);
    result.set_train_seconds(std::max(result.train_seconds(), own.train_seconds));
    loss += static_cast<double>(own.train_examples) * own.train_loss;
  }
  if (result.train_examples() > 0) {
    result.set_train_loss(loss / static_cast<double>(result.train_examples()));
  }
  *result.mutable_evaluation() = ToProto(evaluation);
  return result;
}

// Does the higher coordinator's tasks with the region's hospitals.
class RegionWorker final : public TaskWorker {
 public:
  RegionWorker(const std::string& name, const Certificate& root, const v1::SiteConfig& site,
               const fs::path& folder, CoordinatorLink& link, Coordinator& coordinator)
      : name_(name), root_(root), consent_(site, folder), link_(link), coordinator_(coordinator) {}

  StatusOr<Outcome> Perform(const v1::Task& task, TaskReporter& reporter) override {
    refusal_.clear();
    stage_ = "checking the plan";
    const Status allowed = consent_.Ask(task, reporter);
    if (absl::IsCancelled(allowed)) return allowed;
    if (!allowed.ok()) return Refuse(allowed);
    const auto plan = RegionPlan(task.plan());
    if (!plan.ok()) return Refuse(plan.status());
    std::optional<ModelVersion> model;
    if (task.kind() != v1::TASK_KIND_INITIALISE) {
      CSL_ASSIGN_OR_RETURN(model, Fetch(task, reporter));
    }
    stage_ = "asking the region's hospitals";
    CSL_RETURN_IF_ERROR(coordinator_.Follow(task.run_id(), plan->SerializeAsString(), model));
    CSL_ASSIGN_OR_RETURN(const RunState run, AwaitRegion(task, reporter));
    stage_ = "making the region's update";
    return task.kind() == v1::TASK_KIND_EVALUATE ? Evaluated(run) : Delivered(task, run);
  }

  // What the region's hospitals are called, and what failed at which, stays in the region.
  v1::TaskFailure FailureOf(const Status& status) override {
    v1::TaskFailure failure;
    failure.set_refused(!refusal_.empty());
    failure.set_reason(failure.refused()
                           ? refusal_
                           : fmt::format("{} failed ({}); the region's log says why", stage_,
                                         absl::StatusCodeToString(status.code())));
    return failure;
  }

  void Forget() override {
    mapped_.reset();
    encoded_ = {};
  }

 private:
  Status Refuse(const Status& why) {
    refusal_ = std::string(why.message());
    return why;
  }

  // The task's model into the region's store, which nothing is read of before its coordinator is
  // known to answer for it.
  StatusOr<ModelVersion> Fetch(const v1::Task& task, TaskReporter& reporter) {
    stage_ = "checking the global model's manifest";
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
    }
    return ModelVersion{.round = static_cast<int>(task.model().round()),
                        .digest = digest,
                        .bytes = bytes,
                        .moments_digest = ""};
  }

  // Until the region's hospitals have done what the task asks, or will not.
  StatusOr<RunState> AwaitRegion(const v1::Task& task, TaskReporter& reporter) {
    const std::stop_token stop = reporter.stop_token();
    reporter.Enter(v1::TASK_STAGE_WAITING_FOR_SITES);
    RunState run;
    while (!stop.stop_requested()) {
      CSL_ASSIGN_OR_RETURN(run, coordinator_.AwaitChange(task.run_id(), run, kLook));
      const auto has_ended = [&](const TaskState& state) {
        return state.round == run.round && state.status != TaskStatus::kOpen;
      };
      reporter.Advance(
          static_cast<std::uint64_t>(std::ranges::count_if(run.tasks, has_ended)),
          static_cast<std::uint64_t>(std::ranges::count(run.tasks, run.round, &TaskState::round)));
      const bool scored = run.status == RunStatus::kCompleted || run.status == RunStatus::kDegraded;
      if (task.kind() == v1::TASK_KIND_EVALUATE ? scored : !run.regional.digest.empty()) return run;
      if (IsFinal(run.status) || run.status == RunStatus::kPaused) {
        return FailedPrecondition("the region's run is {}: {}", RunStatusName(run.status),
                                  run.reason);
      }
    }
    // The process ends, and goes on with the task when it starts again; or nobody wants it any
    // more.
    if (reporter.has_ended()) {
      CSL_RETURN_IF_ERROR(coordinator_.EndRound(task.run_id(), static_cast<int>(task.round())));
    }
    return Cancelled("stopped");
  }

  static StatusOr<Outcome> Evaluated(const RunState& run) {
    Outcome outcome;
    CSL_ASSIGN_OR_RETURN(*outcome.report.mutable_result(), SumOf(run));
    return outcome;
  }

  // The update, or the initial model.
  StatusOr<Outcome> Delivered(const v1::Task& task, const RunState& run) {
    Outcome outcome;
    v1::TaskResult& result = *outcome.report.mutable_result();
    const BlobStore& blobs = coordinator_.blobs();
    CSL_ASSIGN_OR_RETURN(mapped_, MapModel(blobs, run.regional.digest));
    outcome.update = mapped_->file->bytes();
    result.set_blob_digest(run.regional.digest);
    if (task.kind() == v1::TASK_KIND_INITIALISE) return outcome;
    CSL_ASSIGN_OR_RETURN(result, SumOf(run));
    result.set_blob_digest(run.regional.digest);

    CSL_ASSIGN_OR_RETURN(const MappedModel base, MapModel(blobs, task.model().digest()));
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
  std::string_view stage_;
  std::string refusal_;                // why this region will not do it; empty: it does
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
  CSL_ASSIGN_OR_RETURN(FileDescriptor lock, LockFolder(folder));
  CSL_ASSIGN_OR_RETURN(const Certificate root, Certificate::FromPem(home.ca_pem));
  CSL_ASSIGN_OR_RETURN(const Certificate own, Certificate::FromPem(home.certificate_pem));
  CSL_ASSIGN_OR_RETURN(const Identity identity, IdentityOf(own));
  static const SystemClock clock;  // the trail's
  CSL_ASSIGN_OR_RETURN(auto trail, AuditTrail::Open(folder / kTrailFile, clock));
  CSL_RETURN_IF_ERROR(trail->Append("started", {{"software", SoftwareVersion()}}));
  spdlog::info("region '{}' of federation '{}' at {}", identity.name, home.federation,
               home.endpoint);
  return std::unique_ptr<Relay>(new Relay(std::make_unique<Parts>(
      home, identity.name, root, site, folder, std::move(lock), std::move(trail), coordinator)));
}

Relay::Relay(std::unique_ptr<Parts> parts)
    : parts_(std::move(parts)), thread_([this] {
        const Status ended = parts_->loop.Run("");
        if (!ended.ok()) {
          spdlog::error("no region of '{}' any more: {}; restart once that is mended",
                        parts_->federation, std::string(ended.message()));
        }
      }) {}

Relay::~Relay() { parts_->stop.request_stop(); }

}  // namespace consilium
