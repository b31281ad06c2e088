// The coordinator's worker: what time and finished rounds ask for, and what nobody needs any more.

#include <spdlog/spdlog.h>

#include <algorithm>

#include "common/model/stage.h"
#include "server/aggregate/mapped_model.h"
#include "server/aggregate/round_average.h"
#include "server/aggregate/soundness.h"
#include "server/aggregate/update_terms.h"
#include "server/round/coordinator.h"
#include "server/round/late_update.h"

namespace consilium {
namespace {

// How long a blob that is being made may lie unwritten or unnamed, and an admin's upload
// unsubmitted.
constexpr std::chrono::minutes kTimeToFinish{30};
constexpr std::chrono::hours kTimeToSubmit{24};
constexpr std::chrono::seconds kSweepInterval{5};
constexpr std::chrono::seconds kPauseBetweenAttempts{2};

// The share of the round's sites whose updates it averages.
double ParticipationIn(const RunState& run) {
  std::set<std::string> asked;
  for (const TaskState& task : run.tasks) {
    if (task.round == run.round && task.kind == TaskKind::kTrain) asked.insert(task.site);
  }
  return static_cast<double>(DeliveredTasks(run).size()) / static_cast<double>(asked.size());
}

// What a finished round averages.
std::vector<Contribution> ContributionsOf(const RunState& run) {
  std::vector<Contribution> contributions;
  std::vector<LocalEffort> efforts;
  for (const auto& [site, task] : DeliveredTasks(run)) {
    contributions.push_back({task->result.blob_digest, {}});
    efforts.push_back({task->result.train_examples, task->result.steps});
  }
  const std::vector<UpdateTerms> terms = TermsOf(run.config, run.round, efforts);
  for (std::size_t i = 0; i < terms.size(); ++i) contributions[i].terms = terms[i];
  return contributions;
}

}  // namespace

std::set<std::string> Coordinator::NeededBlobs() const {
  std::set<std::string> needed;
  for (const RunState& run : runs_) {
    for (const ModelVersion& model : run.models) needed.insert(model.digest);
    if (IsFinal(run.status)) continue;
    if (!run.models.empty() && !run.models.back().moments_digest.empty()) {
      needed.insert(run.models.back().moments_digest);
    }
    needed.insert(ChangeOf(run));
    for (const std::string& digest : UnusedResults(run)) needed.insert(digest);
  }
  return needed;
}

void Coordinator::Discard(const std::vector<std::string>& digests) const {
  MutexLock lock(mu_);
  const std::set<std::string> needed = NeededBlobs();
  for (const std::string& digest : digests) {
    if (!needed.contains(digest)) blobs_.Remove(digest);
  }
}

bool Coordinator::IsAwaited(const BlobStore::Entry& upload) const {
  if (upload.owner.empty()) return upload.age < kTimeToFinish;
  if (upload.owner.starts_with(UploaderOf(""))) return upload.age < kTimeToSubmit;
  if (upload.owner.starts_with(kHigherCoordinator)) return upload.age < kTimeToFinish;
  const auto [run, task] = Locate(upload.owner);
  return task != nullptr && (task->status == TaskStatus::kOpen ||
                             SuccessorOf(*run, *task) != nullptr || IsBetweenRounds(*run, *task));
}

void Coordinator::Sweep(bool alone) const {
  const auto incoming = blobs_.ListIncoming();
  const auto blobs = blobs_.List();
  for (const Status& status : {incoming.status(), blobs.status()}) {
    if (!status.ok()) spdlog::error("cannot sweep: {}", std::string(status.message()));
  }
  if (!incoming.ok() || !blobs.ok()) return;
  for (const BlobStore::Entry& upload : *incoming) {
    if (!IsAwaited(upload) || (alone && upload.owner.empty())) blobs_.RemoveIncoming(upload.file);
  }
  const std::set<std::string> needed = NeededBlobs();
  std::set<std::string> used;  // results that were averaged, moments that were carried on
  for (const RunState& run : runs_) {
    for (const ModelVersion& model : run.models) {
      used.insert({model.moments_digest, model.change_digest});
    }
    for (const TaskState& task : run.tasks) {
      if (task.status == TaskStatus::kDone) used.insert(task.result.blob_digest);
    }
  }
  for (const BlobStore::Entry& blob : *blobs) {
    if (needed.contains(blob.file)) continue;
    // What no state ever named may be an upload whose report the crash came before.
    if (used.contains(blob.file) || blob.age > kTimeToFinish) blobs_.Remove(blob.file);
  }
}

void Coordinator::Work() {
  if (!std::exchange(looked_for_lost_, true)) LookForLost();
  PassTime();
  AverageRounds();
  AnswerWaiters();
  MutexLock lock(mu_);
  if (clock_.Now() - swept_ < kSweepInterval) return;
  swept_ = clock_.Now();
  Sweep(/*alone=*/false);
  inspected_->Forget([&](const std::string& id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return IsAwaited({.file = {}, .owner = id});
  });
  progress_.Forget(
      [&](const std::string& id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
        const TaskState* task = Locate(id).second;
        return task != nullptr && task->status == TaskStatus::kOpen;
      },
      [&](const std::string& id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
        const RunState* run = RunOf(id);
        return run != nullptr && !IsFinal(run->status);
      });
}

void Coordinator::PassTime() {
  MutexLock lock(mu_);
  const auto context = Context();
  if (!context.ok()) return;  // the database is away; the next call sees the time again
  for (RunState& run : runs_) {
    if (IsFinal(run.status)) continue;
    Status status = EndStuckTasks(run, *context);
    if (status.ok() && context->now >= run.deadline) {
      status = Advance(run, TimePassed{}, *context);
    }
    if (!status.ok()) spdlog::error("{}: {}", run.id, std::string(status.message()));
  }
}

Status Coordinator::EndStuckTasks(RunState& run, const RunContext& context) {
  std::vector<TaskEnded> stuck;
  for (const TaskState& task : run.tasks) {
    if (task.status != TaskStatus::kOpen) continue;
    const std::string why = progress_.WhyStuck(task.id);
    if (!why.empty()) stuck.push_back({task.id, TaskStatus::kMissed, why});
  }
  for (const TaskEnded& ended : stuck) {
    spdlog::warn("{}: {}", ended.task_id, ended.reason);
    CSL_RETURN_IF_ERROR(Advance(run, ended, context));
  }
  return OkStatus();
}

StatusOr<bool> Coordinator::AskForLost(const RunState& run) {
  std::map<std::string, std::vector<std::string>> tasks;  // by what they delivered
  for (const auto& [site, task] : DeliveredTasks(run)) {
    if (task->kind == TaskKind::kTrain) tasks[task->result.blob_digest].push_back(task->id);
  }
  std::vector<std::string> digests;
  for (const auto& [digest, ids] : tasks) digests.push_back(digest);
  CSL_ASSIGN_OR_RETURN(const auto lost, UnsoundBlobs(blobs_, std::move(digests)));
  for (const std::string& digest : lost) {
    blobs_.Remove(digest);  // or the site would hear that it is here
    for (const std::string& id : tasks[digest]) {
      spdlog::error("{}: the update {} was lost or damaged on the disk; the site is asked again",
                    id, digest);
      CSL_RETURN_IF_ERROR(ApplyEvent(run.id, UpdateLost{id}));
    }
  }
  return !lost.empty();
}

void Coordinator::LookForLost() {
  for (const RunState& run : Runs()) {
    if (IsFinal(run.status) || run.status == RunStatus::kAwaitingModel) continue;
    const Status asked = AskForLost(run).status();
    if (!asked.ok()) spdlog::error("{}: {}", run.id, std::string(asked.message()));
  }
}

StatusOr<AveragedModel> Coordinator::Average(const RunState& run,
                                             const std::vector<Contribution>& contributions) const {
  const ModelVersion& base = run.models.back();
  RoundToAverage round{.run = run.id,
                       .round = run.round,
                       .base_digest = base.digest,
                       .moments_digest = base.moments_digest,
                       .participation = ParticipationIn(run),
                       .optimizer = run.config.optimizer,
                       .combination = run.config.combination,
                       .as_update = run.follows,
                       .encoding = run.config.model_encoding};
  if (!run.config.stages.empty()) {
    CSL_ASSIGN_OR_RETURN(const MappedModel model, MapModel(blobs_, base.digest));
    round.frozen =
        FrozenTensors(*model.header.layout, run.config.stages, run.round, run.config.rounds);
  }
  return AverageRound(blobs_, round, contributions);
}

Status Coordinator::NoteChoice(const RunState& run, std::size_t place) const {
  const auto delivered = DeliveredTasks(run);
  const auto& [site, task] = *std::next(delivered.begin(), static_cast<std::ptrdiff_t>(place));
  spdlog::info("{}: round {} is what {} made of it (krum)", run.id, run.round, site);
  return trail_.Append("update_chosen", {{"run", run.id},
                                         {"round", run.round},
                                         {"site", site},
                                         {"digest", task->result.blob_digest}});
}

void Coordinator::AverageRounds() {
  std::vector<RunState> finished;
  {
    MutexLock lock(mu_);
    if (clock_.Now() < average_after_) return;
    std::copy_if(runs_.begin(), runs_.end(), std::back_inserter(finished),
                 [](const RunState& run) { return run.status == RunStatus::kAggregating; });
  }
  for (const RunState& run : finished) {
    const Status status = AverageNow(run);
    if (status.ok()) continue;
    spdlog::error("{}: round {} waits: {}", run.id, run.round, std::string(status.message()));
    MutexLock lock(mu_);
    average_after_ = clock_.Now() + kPauseBetweenAttempts;
  }
}

Status Coordinator::AverageNow(const RunState& run) {
  CSL_ASSIGN_OR_RETURN(const bool is_incomplete, AskForLost(run));
  if (is_incomplete) return OkStatus();
  const auto contributions = ContributionsOf(run);
  const ModelVersion& base = run.models.back();
  const StatusOr<AveragedModel> model = Average(run, contributions);
  // A full disk: the updates are safe, and so is the round until there is room.
  if (absl::IsResourceExhausted(model.status())) return model.status();
  if (model.ok() && model->chosen) CSL_RETURN_IF_ERROR(NoteChoice(run, *model->chosen));
  CSL_RETURN_IF_ERROR(ApplyEvent(
      run.id, model.ok() ? RunEvent(RoundAveraged{{run.round, model->digest, model->bytes,
                                                   model->moments_digest, model->change_digest,
                                                   model->change_bytes}})
                         : RunEvent(RunBroken{run.round, std::string(model.status().message())})));
  std::vector<std::string> used;
  for (const Contribution& contribution : contributions) used.push_back(contribution.digest);
  for (const std::string& digest : {base.moments_digest, base.change_digest}) {
    if (!digest.empty()) used.push_back(digest);
  }
  Discard(used);
  return OkStatus();
}

void Coordinator::WaitForWork(std::chrono::milliseconds time) {
  MutexLock lock(mu_);
  if (!work_due_) work_cv_.wait_for(mu_, time);
  work_due_ = false;
}

}  // namespace consilium
