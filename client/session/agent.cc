#include "client/session/agent.h"

#include <spdlog/spdlog.h>

#include <limits>

#include "certs/home.h"
#include "certs/identity.h"
#include "certs/model_manifest.h"
#include "client/data/corrections.h"
#include "client/link/consent.h"
#include "client/link/coordinator_link.h"
#include "client/link/policy.h"
#include "client/link/sent_update.h"
#include "client/link/task_loop.h"
#include "client/session/control_variates.h"
#include "client/session/fetch_blob.h"
#include "client/session/local_tensors.h"
#include "client/session/plan_options.h"
#include "client/session/residuals.h"
#include "client/session/run_course.h"
#include "client/session/task_store.h"
#include "client/session/time_limit.h"
#include "client/session/trainee.h"
#include "client/train/class_weights.h"
#include "client/train/control_variate.h"
#include "common/base/file.h"
#include "common/config/site.h"
#include "common/crypto/digest.h"
#include "common/model/local_part.h"
#include "common/rpc/protocol.h"
#include "common/wire/convert.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;

class Agent final : public TaskWorker {
 public:
  Agent(const Home& home, const std::string& name, const Certificate& root,
        const v1::SiteConfig& site, const fs::path& folder, AuditTrail& trail,
        const std::stop_token& stop)
      : TaskWorker("hospital"),
        name_(name),
        root_(root),
        site_(site),
        link_(home, folder, trail, site.policy(), stop),
        consent_(site, folder),
        trainee_(site, folder / "cache"),
        store_(folder / "work"),
        local_(folder),
        control_(folder),
        residuals_(folder),
        corrections_(folder),
        course_(folder),
        loop_(link_, trail, root, *this, stop) {}

  Status Run() {
    // An update that a process before this one had no time to deliver. It is taken even where its
    // round is over, if the plan counts late updates.
    if (auto finished = store_.LastFinished()) {
      CSL_RETURN_IF_ERROR(loop_.Send(ToOutcome(*std::move(finished))));
    }
    return loop_.Run(store_.CheckpointedTask());
  }

  StatusOr<Outcome> Perform(const v1::Task& task, TaskReporter& reporter) override {
    update_ = {};
    reporter_ = &reporter;
    CSL_RETURN_IF_ERROR(Allow(task));
    switch (task.kind()) {
      case v1::TASK_KIND_INITIALISE:
        return Initialise(task);
      case v1::TASK_KIND_TRAIN:
      case v1::TASK_KIND_EVALUATE:
        return TrainOrEvaluate(task);
      default:
        return InvalidArgument("a task of a kind that this client does not know");
    }
  }

  void Forget() override {
    store_.Clear();
    update_ = {};
  }

 private:
  Status Allow(const v1::Task& task) {
    stage_ = "checking the plan";
    const Status allowed = consent_.Ask(task, *reporter_);
    return IsDecision(allowed) ? Refuse(allowed) : allowed;
  }

  // What was finished and has only to be sent.
  Outcome ToOutcome(TaskStore::Finished finished) {
    spdlog::info("{}: was finished before, and only has to be sent", finished.task.task_id());
    Outcome outcome;
    outcome.report.set_task_id(finished.task.task_id());
    *outcome.report.mutable_result() = std::move(finished.result);
    update_ = std::move(finished.update);
    outcome.update = AsBytes(update_);
    outcome.update_norm = finished.update_norm;
    return outcome;
  }

  StatusOr<Outcome> Initialise(const v1::Task& task) {
    spdlog::info("{}: making the initial model, {} with seed {}", task.task_id(),
                 task.plan().model().architecture(), task.plan().seed());
    stage_ = "making the initial model";
    CSL_ASSIGN_OR_RETURN(const Network network, trainee_.Initialise(task.plan()));
    Outcome outcome;
    SetUpdate(EncodeModel({{network.spec(), {.run = task.run_id(), .round = 0}}, network.State()}),
              outcome);
    return outcome;
  }

  // What a kept piece of the task's work must agree with.
  static v1::TaskKey KeyOf(const v1::Task& task) {
    v1::TaskKey key;
    key.set_task_id(task.task_id());
    key.set_model_digest(task.model().digest());
    key.set_plan_digest(PlanHash(task.plan()));
    return key;
  }

  void Enter(std::string_view stage, v1::TaskStage reported) {
    stage_ = stage;
    reporter_->Enter(reported);
  }
  Watch WatchTask(TimeLimit* limit = nullptr) {
    return {.stop = limit == nullptr ? reporter_->stop_token() : limit->stop_token(),
            .on_progress = [this, limit](std::uint64_t done, std::uint64_t total) {
              reporter_->Advance(done, total);
              if (limit != nullptr) limit->Look();
            }};
  }

  StatusOr<Outcome> TrainOrEvaluate(const v1::Task& task) {
    if (auto finished = store_.FindFinished(KeyOf(task))) return ToOutcome(*std::move(finished));
    stage_ = "checking the global model's manifest";
    CSL_RETURN_IF_ERROR(CheckManifest(task));
    Enter("loading the images", v1::TASK_STAGE_LOADING_IMAGES);
    CSL_RETURN_IF_ERROR(trainee_.Prepare(task.plan(), WatchTask(), Accepted()));
    const Status short_enough =
        CheckEpochs(site_.policy(), task.plan(), trainee_.train_images().size());
    if (!short_enough.ok()) return Refuse(short_enough);
    stage_ = "fetching the global model";
    CSL_ASSIGN_OR_RETURN(Model global, FetchModel(link_, *reporter_, store_, task));
    CSL_ASSIGN_OR_RETURN(const ModelSpec spec, FromProto(task.plan().model()));
    if (global.info.spec != spec) {
      return InvalidArgument("the model is {}, not the plan's network",
                             Describe(global.info, *global.state.layout));
    }
    const ModelState left_alone = LocalPart(global.state);  // what goes back as it came
    const bool trains = task.kind() == v1::TASK_KIND_TRAIN;
    const int round = trains ? static_cast<int>(task.round()) : std::numeric_limits<int>::max();
    CSL_RETURN_IF_ERROR(local_.PutInto(task.run_id(), round, global));
    CSL_ASSIGN_OR_RETURN(Network network, trainee_.Load(global));
    Outcome outcome;
    if (!trains) {
      Enter("evaluating", v1::TASK_STAGE_EVALUATING);
      CSL_ASSIGN_OR_RETURN(const Evaluation evaluation,
                           trainee_.Evaluate(task.plan(), network, WatchTask()));
      *outcome.report.mutable_result()->mutable_evaluation() = ToProto(evaluation);
      NoteCourse(task, evaluation);
      return outcome;
    }
    CSL_RETURN_IF_ERROR(Train(task, global, left_alone, network, outcome));
    return outcome;
  }

  // What readers have said of pictures, and somebody has accepted. A book that is damaged holds up
  // no round.
  Manifest Accepted() const {
    const auto corrections = corrections_.List();
    if (corrections.ok()) return AcceptedExamples(*corrections);
    spdlog::warn("without corrections: {}", std::string(corrections.status().message()));
    return {};
  }

  // Nothing of a model is read before its coordinator is known to answer for it.
  Status CheckManifest(const v1::Task& task) const {
    if (!task.has_manifest() && site_.policy().accept_unsigned_models()) return OkStatus();
    CSL_ASSIGN_OR_RETURN(const v1::ModelManifest manifest,
                         VerifyManifest(task.manifest(), root_, SystemClock().Now()));
    return CheckManifestIsOf(manifest, task.model());
  }

  // For this hospital's page, which holds up no round. What was scored is the model of the round
  // before.
  void NoteCourse(const v1::Task& task, const Evaluation& evaluation) const {
    const Status noted =
        course_.NoteOwn(task.run_id(), static_cast<int>(task.round()) - 1, evaluation);
    if (!noted.ok()) spdlog::warn("{}", std::string(noted.message()));
  }

  // Scores the global model, as this hospital has it, and trains it, or goes on where a process
  // before this one was.
  Status Train(const v1::Task& task, const Model& global, const ModelState& left_alone,
               Network& network, Outcome& outcome) {
    v1::TaskResult& result = *outcome.report.mutable_result();
    v1::TaskKey key = KeyOf(task);
    const auto& counts = trainee_.train_images().class_counts();
    key.mutable_class_counts()->Add(counts.begin(), counts.end());
    key.set_device(fmt::format("{} {}", ResolveDevice(site_.device()), site_.precision()));
    if (site_.replicas() != 1) {
      key.set_device(fmt::format("{}, {} replicas", key.device(), site_.replicas()));
    }
    auto held = store_.FindCheckpoint(key);
    Evaluation evaluation;
    if (held) {
      evaluation = held->evaluation;
      spdlog::info("{}: going on after step {}", task.task_id(), held->state.report.steps);
    } else {
      Enter("evaluating", v1::TASK_STAGE_EVALUATING);
      CSL_ASSIGN_OR_RETURN(evaluation, trainee_.Evaluate(task.plan(), network, WatchTask()));
    }
    *result.mutable_evaluation() = ToProto(evaluation);
    NoteCourse(task, evaluation);

    CSL_ASSIGN_OR_RETURN(const ControlVariatePair control, FetchControlVariates(task, global));
    Enter("training", v1::TASK_STAGE_TRAINING);
    const auto round = static_cast<int>(task.round());
    const RoundExtras extras{
        .checkpoints = {.interval = std::chrono::seconds(site_.checkpoint_seconds()),
                        .keep =
                            [&](const TrainState& state) {
                              return KeepCheckpoint(key, evaluation, state);
                            },
                        .from = held ? &held->state : nullptr},
        .gradient_shift = GradientShift(control.c, control.own),
        .told_class_counts = {task.class_counts().begin(), task.class_counts().end()}};
    TimeLimit limit(MaxTrainingTime(site_.policy()), held ? held->state.report.seconds : 0,
                    reporter_->stop_token());
    const auto trained = trainee_.Train(task.plan(), round, network, WatchTask(&limit), extras);
    if (limit.is_over()) {
      return Refuse(PermissionDenied("the training took more than {} hours (policy.max_task_hours)",
                                     site_.policy().max_task_hours()));
    }
    CSL_ASSIGN_OR_RETURN(const TrainReport report, trained);
    spdlog::info("{}: {} steps, loss {:.4f}, {:.1f} s ({:.1f}% of it waiting for images)",
                 task.task_id(), report.steps, report.loss, report.seconds,
                 100 * report.waiting_seconds / report.seconds);
    result.set_train_examples(trainee_.train_images().size());
    if (task.plan().training().class_counts() == "federated") {
      const auto told = CountsToTell(counts);
      result.mutable_class_counts()->Add(told.begin(), told.end());
    }
    result.set_steps(report.steps);
    result.set_train_loss(report.loss);
    result.set_train_seconds(report.seconds);
    Model trained_model{
        {network.spec(),
         {.run = task.run_id(), .round = round, .parent_digest = task.model().digest()}},
        network.State()};
    CSL_RETURN_IF_ERROR(local_.Keep(task.run_id(), round, trained_model));
    if (IsScaffold(task)) {
      CSL_RETURN_IF_ERROR(control_.Keep(task.run_id(), round, global, trained_model.state, control,
                                        ReachOf(task.plan(), round, report.steps)));
    }
    CSL_RETURN_IF_ERROR(PutLocalPart(left_alone, trained_model.state));
    outcome.update_norm =
        NormOfChange(*global.state.layout, global.state.values, trained_model.state.values);
    const TensorMask moved =
        Inverse(FrozenTensors(*trained_model.state.layout, StagesOf(task.plan()), round,
                              static_cast<int>(task.plan().rounds())));
    CSL_ASSIGN_OR_RETURN(std::string update,
                         Encode(task, {trained_model.info, PartOf(trained_model.state, moved)},
                                PartOf(global.state, moved)));
    SetUpdate(std::move(update), outcome);
    const Status kept = store_.KeepFinished({key, result, update_, outcome.update_norm});
    if (!kept.ok()) spdlog::warn("{}", std::string(kept.message()));  // it can still be sent
    return OkStatus();
  }

  // A full disk does not end a training, which needs none: the checkpoint before stays.
  Status KeepCheckpoint(const v1::TaskKey& key, const Evaluation& evaluation,
                        const TrainState& state) const {
    const Status kept = store_.KeepCheckpoint(key, evaluation, state);
    if (!kept.ok()) spdlog::warn("no checkpoint: {}", std::string(kept.message()));
    return OkStatus();
  }

  // What the gradients of a SCAFFOLD task are shifted by; nothing in other tasks.
  StatusOr<ControlVariatePair> FetchControlVariates(const v1::Task& task, const Model& global) {
    if (!IsScaffold(task)) return ControlVariatePair{};
    stage_ = "fetching the control variate";
    std::string blob;
    if (!task.control_variate().empty()) {
      CSL_ASSIGN_OR_RETURN(blob, FetchBlob(link_, *reporter_, store_, task.control_variate(),
                                           global.state.layout->size() * sizeof(float)));
    }
    return control_.Load(task.run_id(), static_cast<int>(task.round()), global, blob);
  }
  static bool IsScaffold(const v1::Task& task) {
    return task.plan().strategy().name() == "scaffold";
  }

  // The update as it travels. What it leaves unsent is kept for the next round.
  StatusOr<std::string> Encode(const v1::Task& task, const Model& trained, const ModelState& base) {
    const auto round = static_cast<int>(task.round());
    std::vector<float> residual;
    if (task.plan().encoding().update() == "top_k") {
      auto left = residuals_.Load(task.run_id(), round, trained);
      if (!left.ok()) spdlog::warn("without it: {}", std::string(left.status().message()));
      residual = std::move(left).value_or(std::vector<float>());
    }
    CSL_ASSIGN_OR_RETURN(std::string update, EncodeToSend(task.plan(), name_,
                                                          {trained.info, *trained.state.layout,
                                                           base.values, trained.state.values},
                                                          residual));
    if (!residual.empty()) {
      const Status kept = residuals_.Keep(task.run_id(), round, trained, residual);
      if (!kept.ok()) spdlog::warn("what is left unsent is lost: {}", std::string(kept.message()));
    }
    return update;
  }

  // Makes a file the result that is to be sent.
  void SetUpdate(std::string file, Outcome& outcome) {
    update_ = std::move(file);
    outcome.update = AsBytes(update_);
    outcome.report.mutable_result()->set_blob_digest(Sha256Of(update_));
  }

  const std::string name_;
  const Certificate root_;
  const v1::SiteConfig site_;
  CoordinatorLink link_;
  const Consent consent_;
  Trainee trainee_;
  const TaskStore store_;
  const LocalTensors local_;
  const ControlVariates control_;
  const Residuals residuals_;
  const CorrectionBook corrections_;
  const RunCourse course_;
  TaskLoop loop_;
  // Of the task in hand.
  TaskReporter* reporter_ = nullptr;
  std::string update_;  // the file that is to be sent
};

}  // namespace

Status RunAgent(const fs::path& folder, const std::stop_token& stop) {
  CSL_ASSIGN_OR_RETURN(const Home home, ReadHome(folder));
  CSL_ASSIGN_OR_RETURN(const v1::SiteConfig site, ReadSite(folder / kSiteFile));
  CSL_ASSIGN_OR_RETURN(const FileDescriptor lock, LockFolder(folder));
  CSL_ASSIGN_OR_RETURN(const Certificate root, Certificate::FromPem(home.ca_pem));
  CSL_ASSIGN_OR_RETURN(const Certificate own, Certificate::FromPem(home.certificate_pem));
  CSL_ASSIGN_OR_RETURN(const Identity identity, IdentityOf(own));
  const SystemClock clock;
  CSL_ASSIGN_OR_RETURN(const auto trail, AuditTrail::Open(folder / kTrailFile, clock));
  CSL_ASSIGN_OR_RETURN(const std::string settings, ReadFile(folder / kSiteFile));
  CSL_RETURN_IF_ERROR(trail->Append(
      "started", {{"software", SoftwareVersion()}, {"settings", Sha256Of(settings)}}));
  spdlog::info("federation '{}' at {}: waiting for rounds", home.federation, home.endpoint);
  return Agent(home, identity.name, root, site, folder, *trail, stop).Run();
}

}  // namespace consilium
