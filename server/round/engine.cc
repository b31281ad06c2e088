#include "server/round/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace consilium {
namespace {

// How many sites may try to make the initial model, and how long each has at most.
constexpr int kMaxInitialisations = 3;
constexpr std::chrono::minutes kInitialisationTime{10};

void Finish(RunState& run, RunStatus status, std::string reason, TimePoint now) {
  run.status = status;
  run.reason = std::move(reason);
  run.ended = now;
  for (TaskState& task : run.tasks) {
    if (task.status == TaskStatus::kOpen) {
      task.status = TaskStatus::kMissed;
      task.reason = "the run ended";
    }
  }
}

void OpenTask(RunState& run, const std::string& site, TaskKind kind) {
  run.tasks.push_back(
      {.id = fmt::format("{}.r{}.{}.{}", run.id, run.round, site, TaskKindName(kind)),
       .site = site,
       .round = run.round,
       .kind = kind});
}

// The round after the current one: training, or the last evaluation.
void OpenRound(RunState& run, const RunContext& context) {
  ++run.round;
  const bool training = run.round <= run.config.rounds;
  run.status = training ? RunStatus::kTraining : RunStatus::kEvaluating;
  run.deadline = context.now + run.config.round_deadline;
  std::erase_if(run.tasks, [&](const TaskState& task) { return task.round < run.round - 1; });
  const std::vector<std::string> cohort = Cohort(run.config, context.active_sites);
  for (const std::string& site : cohort) {
    OpenTask(run, site, training ? TaskKind::kTrain : TaskKind::kEvaluate);
  }
  if (!cohort.empty()) return;
  if (training) {
    Finish(run, RunStatus::kFailed, "no active site is left", context.now);
  } else {
    Finish(run, RunStatus::kCompleted, "", context.now);  // trained, with nobody left to score it
  }
}

std::vector<TaskState> CurrentTasks(const RunState& run) {
  std::vector<TaskState> tasks;
  std::copy_if(run.tasks.begin(), run.tasks.end(), std::back_inserter(tasks),
               [&](const TaskState& task) { return task.round == run.round; });
  return tasks;
}

// "b: the deadline passed; c: out of memory".
std::string WhoIsMissing(const std::vector<TaskState>& tasks) {
  std::vector<std::string> missing;
  for (const TaskState& task : tasks) {
    if (task.status != TaskStatus::kDone) {
      missing.push_back(fmt::format("{}: {}", task.site, task.reason));
    }
  }
  return fmt::format("{}", fmt::join(missing, "; "));
}

// Every task has ended, or never will: what the round has is what there is.
void CloseRound(RunState& run, TimePoint now) {
  if (run.status == RunStatus::kEvaluating) {
    Finish(run, RunStatus::kCompleted, "", now);
    return;
  }
  const std::vector<TaskState> tasks = CurrentTasks(run);
  const auto done = std::count_if(tasks.begin(), tasks.end(), [](const TaskState& task) {
    return task.status == TaskStatus::kDone;
  });
  const int quorum = QuorumOf(run.config, tasks.size());
  if (done >= quorum) {
    run.status = RunStatus::kAggregating;
    return;
  }
  Finish(run, RunStatus::kFailed,
         fmt::format("round {}: {} of {} sites delivered an update, the quorum is {} ({})",
                     run.round, done, tasks.size(), quorum, WhoIsMissing(tasks)),
         now);
}

// Tasks of earlier rounds have ended long since.
bool AllEnded(const RunState& run) {
  return std::none_of(run.tasks.begin(), run.tasks.end(),
                      [](const TaskState& task) { return task.status == TaskStatus::kOpen; });
}

TaskState* FindOpenTask(RunState& run, const std::string& id) {
  const auto found = std::find_if(run.tasks.begin(), run.tasks.end(), [&](const TaskState& task) {
    return task.id == id && task.status == TaskStatus::kOpen;
  });
  return found == run.tasks.end() ? nullptr : &*found;
}

bool HasTried(const RunState& run, const std::string& site) {
  return std::any_of(run.tasks.begin(), run.tasks.end(),
                     [&](const TaskState& task) { return task.site == site; });
}

// The site that was to make the initial model did not: another may, up to a limit.
void InitialisationFailed(RunState& run, const RunContext& context) {
  const std::vector<std::string> cohort = Cohort(run.config, context.active_sites);
  const bool another = std::any_of(cohort.begin(), cohort.end(),
                                   [&](const std::string& site) { return !HasTried(run, site); });
  if (run.initialisations >= kMaxInitialisations || !another) {
    Finish(run, RunStatus::kFailed,
           fmt::format("no site made the initial model ({})", WhoIsMissing(run.tasks)),
           context.now);
  } else {
    run.deadline = context.now + run.config.round_deadline;
  }
}

void TaskClosed(RunState& run, const RunContext& context) {
  if (run.status == RunStatus::kInitialising) {
    InitialisationFailed(run, context);
  } else if (AllEnded(run)) {
    CloseRound(run, context.now);
  }
}

// What each event does. Final states are dealt with before.
class Transition {
 public:
  Transition(RunState& run, const RunContext& context) : run_(run), context_(context) {}

  void operator()(const SiteAsked& event) {
    if (run_.status != RunStatus::kInitialising || !AllEnded(run_)) return;
    const auto cohort = Cohort(run_.config, context_.active_sites);
    if (HasTried(run_, event.site) || !std::binary_search(cohort.begin(), cohort.end(), event.site))
      return;
    ++run_.initialisations;
    run_.deadline = context_.now +
                    std::min<std::chrono::seconds>(run_.config.round_deadline, kInitialisationTime);
    OpenTask(run_, event.site, TaskKind::kInitialise);
  }

  void operator()(const TaskSucceeded& event) {
    TaskState* task = FindOpenTask(run_, event.task_id);
    if (task == nullptr) return;
    task->status = TaskStatus::kDone;
    task->result = event.result;
    if (task->kind == TaskKind::kInitialise) {
      run_.models.push_back({0, event.result.blob_digest, event.result.blob_bytes});
      OpenRound(run_, context_);
    } else if (AllEnded(run_)) {
      CloseRound(run_, context_.now);
    }
  }

  void operator()(const TaskEnded& event) {
    TaskState* task = FindOpenTask(run_, event.task_id);
    if (task == nullptr) return;
    task->status = event.status;
    task->reason = event.reason;
    TaskClosed(run_, context_);
  }

  void operator()(const SiteRevoked& event) {
    for (TaskState& task : run_.tasks) {
      if (task.site != event.site || task.status != TaskStatus::kOpen) continue;
      task.status = TaskStatus::kFailed;
      task.reason = "the site was revoked";
      TaskClosed(run_, context_);
      return;  // a site has one open task in a run, and the list may have changed
    }
  }

  void operator()(const RoundAveraged& event) {
    if (run_.status != RunStatus::kAggregating || event.model.round != run_.round) return;
    run_.models.push_back(event.model);
    OpenRound(run_, context_);
  }

  void operator()(const RunBroken& event) {
    Finish(run_, RunStatus::kFailed, event.reason, context_.now);
  }

  void operator()(const TimePassed&) {
    if (run_.status == RunStatus::kAggregating || context_.now < run_.deadline) return;
    if (run_.status == RunStatus::kInitialising && AllEnded(run_)) {
      Finish(run_, RunStatus::kFailed, "no site asked for the initial model's task", context_.now);
      return;
    }
    for (TaskState& task : run_.tasks) {
      if (task.status != TaskStatus::kOpen) continue;
      task.status = TaskStatus::kMissed;
      task.reason = "the deadline passed";
    }
    TaskClosed(run_, context_);
  }

  void operator()(const CancelRequested&) {
    Finish(run_, RunStatus::kCancelled, "cancelled", context_.now);
  }

 private:
  RunState& run_;
  const RunContext& context_;
};

}  // namespace

RunState StartRun(std::string id, std::string plan, RunConfig config,
                  std::optional<ModelVersion> initial_model, const RunContext& context) {
  RunState run;
  run.id = std::move(id);
  run.plan = std::move(plan);
  run.config = std::move(config);
  run.created = context.now;
  run.deadline = context.now + run.config.round_deadline;
  if (initial_model) {
    run.models.push_back(*initial_model);
    OpenRound(run, context);
  }
  return run;
}

RunState Apply(RunState run, const RunEvent& event, const RunContext& context) {
  if (!IsFinal(run.status)) std::visit(Transition(run, context), event);
  return run;
}

std::vector<std::string> Cohort(const RunConfig& config,
                                const std::vector<std::string>& active_sites) {
  if (config.sites.empty()) return active_sites;
  std::vector<std::string> wanted = config.sites;
  std::sort(wanted.begin(), wanted.end());
  std::vector<std::string> cohort;
  std::set_intersection(wanted.begin(), wanted.end(), active_sites.begin(), active_sites.end(),
                        std::back_inserter(cohort));
  return cohort;
}

int QuorumOf(const RunConfig& config, std::size_t sites) {
  if (config.quorum_count > 0) return config.quorum_count;
  const double share = config.quorum_fraction * static_cast<double>(sites);
  // A fraction such as 2/3 written in decimals must not ask for one site more.
  return std::max(1, static_cast<int>(std::ceil(share - 1e-9)));
}

}  // namespace consilium
