// Reports: what hospitals deliver, from the upload that may begin to the result that counts.

#include <spdlog/spdlog.h>

#include "common/crypto/digest.h"
#include "common/model/model_file.h"
#include "server/admission/admission.h"
#include "server/aggregate/rebase.h"
#include "server/round/coordinator.h"
#include "server/round/late_update.h"

namespace consilium {
namespace {

constexpr std::uint64_t kMaxTrainExamples = 1'000'000'000;

// At most kMaxReason bytes of a text that may come from a hospital or its file, cut between
// characters, with nothing in it that is not printable ASCII: it is shown to people and sent in
// messages.
std::string Clip(std::string_view text) {
  constexpr std::size_t kMaxReason = 300;
  std::string clipped(text.substr(0, kMaxReason));
  for (char& c : clipped) c = c >= ' ' && c <= '~' ? c : '?';
  return clipped;
}

// Where the steps decide how an update counts, they must be those that the plan asks for.
Status CheckSteps(const TaskResult& result, const LocalWork& local) {
  const auto batch = static_cast<std::uint64_t>(local.batch_size);
  auto wanted = static_cast<std::uint64_t>(local.steps);
  if (wanted == 0) {  // a last batch of a single image is left out
    const bool has_rest = result.train_examples % batch >= 2;
    wanted = static_cast<std::uint64_t>(local.epochs) *
             (result.train_examples / batch + (has_rest ? 1 : 0));
  }
  if (result.steps == wanted && wanted > 0) return OkStatus();
  return InvalidArgument("{} steps on {} examples, want {}", result.steps, result.train_examples,
                         wanted);
}

// They weigh the other sites' classes: no more than there are examples.
Status CheckClassCounts(const TaskResult& result, const RunConfig& config) {
  if (result.class_counts.empty()) return OkStatus();
  std::uint64_t left = result.train_examples;
  for (const std::uint64_t count : result.class_counts) {
    if (count > left) return InvalidArgument("class counts of more than its training examples");
    left -= count;
  }
  if (config.sums_class_counts && result.class_counts.size() == config.model.classes.size()) {
    return OkStatus();
  }
  return InvalidArgument("{} class counts, want {}", result.class_counts.size(),
                         config.sums_class_counts ? config.model.classes.size() : 0);
}

// What a report names is not in the store, or not as it was sent.
Status AskAgain(const std::string& digest) {
  return DataLoss("the model {} is not here; send it again", digest);
}

// What the update of a task must be.
StatusOr<ExpectedUpdate> ExpectedOf(const RunState& run, const TaskState& task) {
  const ModelVersion* base = ModelOfRound(run, task.round - 1);
  if (base == nullptr) return Internal("{} has no model of round {}", run.id, task.round - 1);
  return ExpectedUpdate{.run = run.id,
                        .round = task.round,
                        .base_digest = base->digest,
                        .stages = run.config.stages,
                        .rounds = run.config.rounds,
                        .encoding = run.config.update_encoding};
}

std::string TaskIdOf(const TaskReport& report) {
  return std::visit([](const auto& event) { return event.task_id; }, report);
}

}  // namespace

StatusOr<std::optional<Coordinator::Found>> Coordinator::FindReported(const std::string& site,
                                                                      const std::string& task_id) {
  MutexLock lock(mu_);
  const auto [run, task] = Locate(task_id);
  if (task == nullptr) return std::nullopt;
  if (task->site != site) return PermissionDenied("task {} is not of site '{}'", task_id, site);
  if (IsBetweenRounds(*run, *task)) return Unavailable("the next round is about to open");
  Found found{.run = *run, .task = *task, .delivered = IsDelivered(*run, *task)};
  if (const TaskState* next = SuccessorOf(*run, *task)) found.successor = *next;
  return found;
}

StatusOr<std::string> Coordinator::Report(const std::string& site, const TaskReport& report) {
  while (true) {
    auto note = ReportOnce(site, report);
    if (!absl::IsAborted(note.status())) return note;  // the round closed while it was admitted
  }
}

StatusOr<std::string> Coordinator::ReportOnce(const std::string& site, const TaskReport& report) {
  const std::string task_id = TaskIdOf(report);
  const auto* success = std::get_if<TaskSucceeded>(&report);
  CSL_ASSIGN_OR_RETURN(const auto found, FindReported(site, task_id));
  if (found && found->delivered) return "";  // a repeated report: the first one counted
  const bool open = found && found->task.status == TaskStatus::kOpen;
  if (!open && !(found && found->successor && success != nullptr)) {
    if (found && success != nullptr) blobs_.Drop(success->result.blob_digest, task_id);
    if (!found) return "the round of this task closed before the report came";
    return fmt::format("the task had ended before the report came: {}", found->task.reason);
  }
  if (success == nullptr) {
    TaskEnded ended = std::get<TaskEnded>(report);
    ended.reason = Clip(ended.reason);
    CSL_RETURN_IF_ERROR(ApplyEvent(found->run.id, ended));
    return "";
  }

  const std::string& digest = success->result.blob_digest;
  if (!digest.empty() && !blobs_.HeldOf(digest, task_id).whole) return AskAgain(digest);
  TaskResult result = success->result;
  const Status admission = Prepare(*found, result);
  if (absl::IsInvalidArgument(admission)) return Refuse(*found, digest, admission);
  if (absl::IsDataLoss(admission)) {
    blobs_.Remove(digest);
    blobs_.Drop(digest, task_id);
    return admission;
  }
  if (!admission.ok()) return Unavailable("{}", std::string(admission.message()));
  const std::string& counted = open ? found->task.id : found->successor->id;
  CSL_RETURN_IF_ERROR(ApplyResult(found->run.id, {counted, result}, task_id));
  if (!open || result.blob_digest != digest) blobs_.Drop(digest, task_id);
  if (open) return "";
  return fmt::format("the task had ended ({}); its result counts as that of {}", found->task.reason,
                     counted);
}

StatusOr<std::string> Coordinator::Refuse(const Found& found, const std::string& digest,
                                          const Status& why) {
  const Status refused(why.code(), Clip(std::string(why.message())));
  const std::string reason = "its result was refused: " + std::string(refused.message());
  spdlog::warn("{}: {}", found.task.id, reason);
  if (IsDigest(digest)) {
    blobs_.SetAside(digest, found.task.id, reason);
    CSL_RETURN_IF_ERROR(trail_.Append("update_refused", {{"run", found.run.id},
                                                         {"round", found.task.round},
                                                         {"site", found.task.site},
                                                         {"task", found.task.id},
                                                         {"digest", digest},
                                                         {"reason", reason}}));
  }
  blobs_.Drop(digest, found.task.id);
  if (found.task.status != TaskStatus::kOpen) return reason;
  CSL_RETURN_IF_ERROR(
      ApplyEvent(found.run.id, TaskEnded{found.task.id, TaskStatus::kFailed, reason}));
  return refused;
}

Status Coordinator::Admit(const RunState& run, const TaskState& task, TaskResult& result) const {
  const auto classes = static_cast<int>(run.config.model.classes.size());
  if (result.evaluation.classes() != 0 && result.evaluation.classes() != classes) {
    return InvalidArgument("the evaluation has {} classes, want {}", result.evaluation.classes(),
                           classes);
  }
  if (task.kind == TaskKind::kEvaluate) {
    if (result.blob_digest.empty()) return OkStatus();
    return InvalidArgument("an evaluation has no model to deliver");
  }
  CSL_ASSIGN_OR_RETURN(const auto file, blobs_.MapUpload(result.blob_digest, task.id));
  CSL_ASSIGN_OR_RETURN(const bool is_sound, blobs_.IsSound(result.blob_digest, task.id));
  if (!is_sound) return AskAgain(result.blob_digest);
  result.blob_bytes = file->bytes().size();
  if (task.kind == TaskKind::kInitialise) return CheckInitialModel(file->bytes(), run.config.model);
  const std::uint64_t most =
      run.config.max_train_examples > 0 ? run.config.max_train_examples : kMaxTrainExamples;
  if (result.train_examples == 0 || result.train_examples > most) {
    return InvalidArgument("{} training examples, want 1 to {}", result.train_examples, most);
  }
  CSL_RETURN_IF_ERROR(CheckClassCounts(result, run.config));
  if (run.config.normalise || run.config.optimizer.kind == ServerOptimizerKind::kControlVariate) {
    CSL_RETURN_IF_ERROR(CheckSteps(result, run.config.local));
  }
  if (const auto norm = inspected_->NormOf(task.id, result.blob_digest)) {
    result.update_norm = *norm;
    return CheckNorm(*norm, run.config.max_norm);
  }
  CSL_ASSIGN_OR_RETURN(const auto expected, ExpectedOf(run, task));
  CSL_ASSIGN_OR_RETURN(const auto base, blobs_.Map(expected.base_digest));
  CSL_ASSIGN_OR_RETURN(result.update_norm,
                       CheckUpdate(file->bytes(), base->bytes(), expected, run.config.max_norm));
  return OkStatus();
}

Status Coordinator::Prepare(const Found& found, TaskResult& result) const {
  CSL_RETURN_IF_ERROR(Admit(found.run, found.task, result));
  if (found.task.status == TaskStatus::kOpen) return OkStatus();
  const std::string sent = result.blob_digest;
  CSL_RETURN_IF_ERROR(Transfer(found, result));
  if (result.blob_digest == sent) return OkStatus();
  return trail_.Append("update_moved", {{"task", found.task.id},
                                        {"sent", sent},
                                        {"to", found.successor->id},
                                        {"digest", result.blob_digest}});
}

std::unique_ptr<ArrivingUpdate> Coordinator::WatchUpload(const std::string& task_id,
                                                         const std::string& digest,
                                                         std::uint64_t bytes) const {
  const auto watch = [&]() -> StatusOr<std::unique_ptr<ArrivingUpdate>> {
    StatusOr<ExpectedUpdate> expected = NotFound("no such task");
    {
      MutexLock lock(mu_);
      const auto [run, task] = Locate(task_id);
      if (task != nullptr && task->kind == TaskKind::kTrain) expected = ExpectedOf(*run, *task);
    }
    CSL_RETURN_IF_ERROR(expected.status());
    if (!inspected_->MayBegin(task_id)) return Unavailable("inspected too often");
    CSL_ASSIGN_OR_RETURN(const auto base, blobs_.Map(expected->base_digest));
    CSL_ASSIGN_OR_RETURN(auto inspection,
                         UpdateInspection::Begin(base->bytes(), base, *expected, bytes));
    return std::make_unique<ArrivingUpdate>(std::move(inspection), inspected_, task_id, digest);
  };
  auto watched = watch();
  return watched.ok() ? *std::move(watched) : nullptr;
}

Status Coordinator::Transfer(const Found& found, TaskResult& result) const {
  if (found.task.round == found.successor->round) return OkStatus();
  const ModelVersion* old_base = ModelOfRound(found.run, found.task.round - 1);
  const ModelVersion& new_base = found.run.models.back();
  const bool is_encoded = found.run.config.update_encoding != UpdateEncoding::kFloat32;
  CSL_ASSIGN_OR_RETURN(auto file, blobs_.MapUpload(result.blob_digest, found.task.id));
  CSL_ASSIGN_OR_RETURN(const AveragedModel rebased,
                       Rebase(blobs_, std::move(file), old_base->digest, new_base.digest,
                              {.run = found.run.id,
                               .round = found.successor->round,
                               .parent_digest = new_base.digest}));
  result.blob_digest = rebased.digest;
  if (!is_encoded) result.blob_bytes = rebased.bytes;
  result.evaluation = {};  // it scored the older model
  return OkStatus();
}

Status Coordinator::ApplyResult(const std::string& run_id, const TaskSucceeded& success,
                                const std::string& owner) {
  {
    MutexLock lock(mu_);
    CSL_ASSIGN_OR_RETURN(const RunContext context, Context());
    RunState* run = RunOf(run_id);
    const TaskState* task = Locate(success.task_id).second;
    if (run == nullptr || task == nullptr || task->status != TaskStatus::kOpen) {
      return absl::AbortedError("the task ended meanwhile");
    }
    // First the blob, then the state that names it: a crash in between leaves a blob to be swept.
    // An update that a power cut takes is asked for again.
    const std::string& digest = success.result.blob_digest;
    if (!digest.empty()) {
      const Status kept =
          blobs_.Keep(digest, owner,
                      task->kind == TaskKind::kTrain ? Durability::kCached : Durability::kSynced);
      if (absl::IsNotFound(kept)) return AskAgain(digest);
      CSL_RETURN_IF_ERROR(kept);
    }
    CSL_RETURN_IF_ERROR(Advance(*run, success, context));
  }
  AnswerWaiters();
  return OkStatus();
}

Status Coordinator::CheckUpload(const std::string& site, const std::string& task_id,
                                std::uint64_t bytes) const {
  MutexLock lock(mu_);
  const auto [run, task] = Locate(task_id);
  if (task != nullptr && task->site == site && IsBetweenRounds(*run, *task)) {
    return Unavailable("the next round is about to open");
  }
  if (task == nullptr || task->site != site || task->kind == TaskKind::kEvaluate ||
      (task->status != TaskStatus::kOpen && SuccessorOf(*run, *task) == nullptr)) {
    return PermissionDenied("site '{}' has no open task '{}' to upload for", site, task_id);
  }
  const std::uint64_t limit =
      run->models.empty() ? kMaxModelBytes : run->models.back().bytes + kHeaderSlackBytes;
  if (bytes == 0 || bytes > limit) {
    return InvalidArgument("a blob of {} bytes, want 1 to {}", bytes, limit);
  }
  return OkStatus();
}

}  // namespace consilium
