#include "server/round/coordinator.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "common/crypto/digest.h"
#include "server/admission/admission.h"
#include "server/round/cohort.h"
#include "server/round/late_update.h"
#include "server/round/run_trail.h"
#include "server/store/run_config.h"

namespace consilium {
namespace {

constexpr std::size_t kRunIdBytes = 4;

Status OfHigher(const RunState& run) {
  return FailedPrecondition("{} is a higher coordinator's run, which sets its pace", run.id);
}

// Whether the site would make the run's initial model if it asked.
bool WantsInitialModel(const RunState& run, const std::string& site, const RunContext& context) {
  return OpenTaskOf(Apply(run, SiteAsked{site}, context), site) != nullptr;
}

// How many sites the current round asks, in all of its attempts.
std::size_t SitesAsked(const RunState& run) {
  std::vector<std::string_view> sites;
  for (const TaskState& task : run.tasks) {
    if (task.round == run.round) sites.emplace_back(task.site);
  }
  std::ranges::sort(sites);
  return static_cast<std::size_t>(std::unique(sites.begin(), sites.end()) - sites.begin());
}

// Whether the engine may have opened tasks on the way from one state to the next.
bool MayOpenTasks(const RunState& before, const RunState& after) {
  const auto open = [](const RunState& run) {
    return std::ranges::count(run.tasks, TaskStatus::kOpen, &TaskState::status);
  };
  return after.status != before.status || after.round != before.round ||
         after.attempt != before.attempt || open(after) > open(before);
}

// 0 for a run that never had one.
std::uint64_t TurnOf(const std::map<std::string, std::uint64_t>& turns, const std::string& run) {
  const auto found = turns.find(run);
  return found == turns.end() ? 0 : found->second;
}

}  // namespace

std::string UploaderOf(const std::string& admin) { return "admin-" + admin; }

StatusOr<std::unique_ptr<Coordinator>> Coordinator::Create(Store& store, BlobStore blobs,
                                                           Registry& registry, AuditTrail& trail,
                                                           const Clock& clock) {
  CSL_ASSIGN_OR_RETURN(std::vector<RunState> runs, store.LoadRuns());
  std::unique_ptr<Coordinator> coordinator(
      new Coordinator(store, std::move(blobs), registry, trail, clock));
  MutexLock lock(coordinator->mu_);
  coordinator->runs_ = std::move(runs);
  coordinator->Sweep(/*alone=*/true);
  coordinator->work_due_ = true;
  return coordinator;
}

StatusOr<RunContext> Coordinator::Context() const {
  CSL_ASSIGN_OR_RETURN(std::vector<std::string> sites, registry_.ActiveSites());
  return RunContext{.now = clock_.Now(), .active_sites = std::move(sites)};
}

StatusOr<std::string> Coordinator::Submit(const std::string& plan,
                                          const std::string& initial_model_digest,
                                          const std::string& admin) {
  CSL_ASSIGN_OR_RETURN(const RunConfig config, ParseRunConfig(plan));
  const std::string uploader = UploaderOf(admin);
  std::optional<ModelVersion> initial;
  if (!initial_model_digest.empty()) {
    CSL_ASSIGN_OR_RETURN(const auto file, blobs_.MapUpload(initial_model_digest, uploader));
    CSL_ASSIGN_OR_RETURN(const bool is_sound, blobs_.IsSound(initial_model_digest, uploader));
    if (!is_sound) {
      blobs_.Remove(initial_model_digest);
      blobs_.Drop(initial_model_digest, uploader);
      return DataLoss("the initial model was damaged on the disk; send it again");
    }
    const Status admitted = CheckInitialModel(file->bytes(), config.model);
    if (!admitted.ok()) return Annotate(admitted, "initial model");
    initial = {.round = 0, .digest = initial_model_digest, .bytes = file->bytes().size()};
  }
  const std::string id = "run-" + RandomHex(kRunIdBytes);
  {
    MutexLock lock(mu_);
    CSL_ASSIGN_OR_RETURN(const RunContext context, Context());
    CSL_RETURN_IF_ERROR(CheckSites(config, context.active_sites));
    CSL_RETURN_IF_ERROR(Begin(StartRun(id, plan, config, initial, context), uploader, admin));
  }
  AnswerWaiters();
  return id;
}

Status Coordinator::Begin(RunState run, const std::string& uploader, const std::string& by) {
  const std::string initial = run.models.empty() ? "" : run.models.front().digest;
  CSL_RETURN_IF_ERROR(trail_.Append("plan", {{"run", run.id},
                                             {"plan", Sha256Of(run.plan)},
                                             {"rounds", run.config.rounds},
                                             {"initial_model", initial},
                                             {"by", by}}));
  RunState before;
  before.id = run.id;
  CSL_RETURN_IF_ERROR(trail_.Append(WhatHappened(before, run)));
  if (!initial.empty()) {
    CSL_RETURN_IF_ERROR(blobs_.Keep(initial, uploader, Durability::kSynced));
  }
  CSL_RETURN_IF_ERROR(store_.SaveRun(run));
  spdlog::info("{}: submitted by {}, {} rounds", run.id, by, run.config.rounds);
  runs_.push_back(std::move(run));
  tasks_opened_ = true;
  changed_cv_.notify_all();
  return OkStatus();
}

Status Coordinator::Cancel(const std::string& run_id) {
  return ApplyEvent(run_id, CancelRequested{});
}

Status Coordinator::Pause(const std::string& run_id) {
  CSL_ASSIGN_OR_RETURN(const RunState run, FindRun(run_id));
  if (run.follows) return OfHigher(run);
  if (!CanPause(run)) {
    return FailedPrecondition("{} is {}: there is nothing to pause", run_id,
                              RunStatusName(run.status));
  }
  return ApplyEvent(run_id, PauseRequested{});
}

Status Coordinator::Resume(const std::string& run_id) {
  CSL_ASSIGN_OR_RETURN(const RunState run, FindRun(run_id));
  if (run.follows) return OfHigher(run);
  if (!CanResume(run)) {
    return FailedPrecondition("{} is {}, not paused", run_id, RunStatusName(run.status));
  }
  return ApplyEvent(run_id, ResumeRequested{});
}

Status Coordinator::EndTasksOf(const std::string& site) {
  for (const RunState& run : Runs()) CSL_RETURN_IF_ERROR(ApplyEvent(run.id, SiteRevoked{site}));
  return OkStatus();
}

std::vector<RunState> Coordinator::Runs() const {
  MutexLock lock(mu_);
  return runs_;
}

StatusOr<RunState> Coordinator::FindRun(const std::string& run_id) const {
  MutexLock lock(mu_);
  if (const RunState* run = RunOf(run_id)) return *run;
  return NotFound("no run '{}'", run_id);
}

Status Coordinator::ApplyEvent(const std::string& run_id, const RunEvent& event) {
  {
    MutexLock lock(mu_);
    CSL_ASSIGN_OR_RETURN(const RunContext context, Context());
    RunState* run = RunOf(run_id);
    if (run == nullptr) return NotFound("no run '{}'", run_id);
    CSL_RETURN_IF_ERROR(Advance(*run, event, context));
  }
  AnswerWaiters();
  return OkStatus();
}

Status Coordinator::Advance(RunState& run, const RunEvent& event, const RunContext& context) {
  RunState next = Apply(run, event, context);
  if (next == run) return OkStatus();
  // It may stand in the trail twice after a crash, and never not at all.
  CSL_RETURN_IF_ERROR(trail_.Append(WhatHappened(run, next)));
  CSL_RETURN_IF_ERROR(store_.SaveRun(next, &run));
  SetAsideRefused(run, next);
  if (next.status != run.status || next.round != run.round) {
    spdlog::info("{}: round {} {}{}{}", next.id, next.round, RunStatusName(next.status),
                 next.reason.empty() ? "" : ": ", next.reason);
  }
  tasks_opened_ = tasks_opened_ || MayOpenTasks(run, next);
  run = std::move(next);
  work_due_ = true;
  work_cv_.notify_one();
  changed_cv_.notify_all();
  return OkStatus();
}

void Coordinator::SetAsideRefused(const RunState& before, const RunState& after) const {
  for (const TaskState& task : RefusedAfterDelivery(before, after)) {
    spdlog::warn("{}: {}", task.id, task.reason);
    blobs_.SetAside(task.result.blob_digest, task.id, task.reason);
  }
}

StatusOr<ModelRecord> Coordinator::FindModel(const std::string& run_id, int round) const {
  RunState former;  // the run, where the tasks that made the model are in memory no more
  {
    MutexLock lock(mu_);
    const RunState* run = RunOf(run_id);
    if (run == nullptr) return NotFound("no run '{}'", run_id);
    if (ModelOfRound(*run, round) == nullptr) {
      return NotFound("{} has no model of round {}", run_id, round);
    }
    if (round >= run->round - 1) return RecordOf(*run, round, run->tasks);
    former = *run;
  }
  CSL_ASSIGN_OR_RETURN(const auto tasks, store_.LoadTasks(run_id, round, round + 1));
  return RecordOf(former, round, tasks);
}

StatusOr<std::optional<Assignment>> Coordinator::FindTask(const std::string& site) {
  RunContext context;  // read where a run wants an initial model: this is asked at every Work
  Turns& turns = turns_[site];
  RunState* chosen = nullptr;
  for (RunState& run : runs_) {
    const TaskState* open = OpenTaskOf(run, site);
    if (open != nullptr && open->id == turns.task_id) {  // a site ends what it has begun
      chosen = &run;
      break;
    }
    if (open == nullptr) {
      if (run.status != RunStatus::kInitialising) continue;
      if (context.now == TimePoint()) {
        CSL_ASSIGN_OR_RETURN(context, Context());
      }
      if (!WantsInitialModel(run, site, context)) continue;
    }
    if (chosen == nullptr || TurnOf(turns.by_run, run.id) < TurnOf(turns.by_run, chosen->id)) {
      chosen = &run;
    }
  }
  if (chosen == nullptr) return std::nullopt;
  if (OpenTaskOf(*chosen, site) == nullptr) {
    CSL_RETURN_IF_ERROR(Advance(*chosen, SiteAsked{site}, context));
  }
  const TaskState* open = OpenTaskOf(*chosen, site);
  TakeTurn(site, chosen->id, open->id);
  Assignment assignment{.task = *open,
                        .run_id = chosen->id,
                        .plan = chosen->plan,
                        .model = {},
                        .base_digest = {},
                        .control_variate = {},
                        .class_counts = {},
                        .deadline = chosen->deadline,
                        .round_deadline = chosen->config.round_deadline,
                        .cohort_sites = SitesAsked(*chosen)};
  if (!chosen->models.empty()) assignment.model = chosen->models.back();
  if (!ChangeOf(*chosen).empty())
    assignment.base_digest = std::prev(chosen->models.end(), 2)->digest;
  if (open->kind == TaskKind::kTrain) {
    assignment.control_variate = ControlVariateOf(*chosen);
    assignment.class_counts = SummedClassCounts(*chosen, open->round);
  }
  return assignment;
}

void Coordinator::TakeTurn(const std::string& site, const std::string& run_id,
                           const std::string& task_id) {
  Turns& turns = turns_[site];
  if (turns.task_id == task_id) return;
  turns.task_id = task_id;
  turns.by_run[run_id] = next_turn_++;
}

TaskStanding Coordinator::NoteProgress(const std::string& site, const std::string& task_id,
                                       const TaskProgress& progress) {
  MutexLock lock(mu_);
  const auto [run, task] = Locate(task_id);
  if (task == nullptr || task->site != site) return TaskStanding::kEnded;
  if (task->status == TaskStatus::kOpen) {
    TakeTurn(site, run->id, task_id);
    progress_.Note(*run, *task, progress, clock_.Now());
    return TaskStanding::kOpen;
  }
  if (MayCountYet(*run, *task)) return TaskStanding::kLate;
  // While it is held up here, it does not advance with the task that waits for it either.
  const TaskState* waiting = OpenTaskOf(*run, site);
  if (task->status == TaskStatus::kMissed && waiting != nullptr) {
    progress_.Note(*run, *waiting, progress, clock_.Now());
  }
  return TaskStanding::kEnded;
}

std::map<std::string, TaskOutlook> Coordinator::Outlooks(const std::string& run_id) const {
  MutexLock lock(mu_);
  std::map<std::string, TaskOutlook> outlooks;
  const RunState* run = RunOf(run_id);
  if (run == nullptr) return outlooks;
  for (const TaskState& task : run->tasks) {
    if (task.status != TaskStatus::kOpen) continue;
    if (const auto outlook = progress_.Find(task.id)) outlooks.emplace(task.id, *outlook);
  }
  return outlooks;
}

Coordinator::WaitId Coordinator::WaitForTask(const std::string& site, TimePoint until,
                                             Ready ready) {
  StatusOr<std::optional<Assignment>> found = std::nullopt;
  WaitId id = 0;
  {
    MutexLock lock(mu_);
    id = next_wait_++;
    found = FindTask(site);
    if (found.ok() && !found->has_value()) {
      waiters_[id] = {site, until, std::move(ready)};
      return id;
    }
  }
  ready(std::move(found));
  return id;
}

bool Coordinator::StopWaiting(WaitId id) {
  MutexLock lock(mu_);
  return waiters_.erase(id) > 0;
}

void Coordinator::AnswerWaiters() {
  std::vector<std::pair<Ready, StatusOr<std::optional<Assignment>>>> answers;
  {
    MutexLock lock(mu_);
    const TimePoint now = clock_.Now();
    // Whoever waits found nothing when it came. A site may join while a run wants its initial
    // model.
    const bool look =
        std::exchange(tasks_opened_, false) || std::ranges::any_of(runs_, [](const RunState& run) {
          return run.status == RunStatus::kInitialising;
        });
    for (auto it = waiters_.begin(); it != waiters_.end();) {
      if (!look && now < it->second.until) {
        ++it;
        continue;
      }
      auto found = FindTask(it->second.site);
      if (found.ok() && !found->has_value() && now < it->second.until) {
        ++it;
        continue;
      }
      answers.emplace_back(std::move(it->second.ready), std::move(found));
      it = waiters_.erase(it);
    }
  }
  for (auto& [ready, found] : answers) ready(std::move(found));
}

RunState* Coordinator::RunOf(const std::string& id) {
  return const_cast<RunState*>(std::as_const(*this).RunOf(id));
}
const RunState* Coordinator::RunOf(const std::string& id) const {
  const auto found =
      std::find_if(runs_.begin(), runs_.end(), [&](const RunState& run) { return run.id == id; });
  return found == runs_.end() ? nullptr : &*found;
}

std::pair<const RunState*, const TaskState*> Coordinator::Locate(const std::string& task_id) const {
  for (const RunState& run : runs_) {
    for (const TaskState& task : run.tasks) {
      if (task.id == task_id) return {&run, &task};
    }
  }
  return {nullptr, nullptr};
}

bool Coordinator::IsForSites(const std::string& digest) const {
  MutexLock lock(mu_);
  return std::any_of(runs_.begin(), runs_.end(), [&](const RunState& run) {
    return HasModel(run, digest) ||
           (!digest.empty() && (ControlVariateOf(run) == digest || ChangeOf(run) == digest));
  });
}

}  // namespace consilium
