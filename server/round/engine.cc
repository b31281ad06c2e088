#include "server/round/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "server/round/cohort.h"
#include "server/round/misses.h"
#include "server/round/outliers.h"

namespace consilium {
namespace {

// How many sites may try to make the initial model, and how long each has at most.
constexpr int kMaxInitialisations = 3;
constexpr std::chrono::minutes kInitialisationTime{10};

void Finish(RunState& run, RunStatus status, std::string reason, TimePoint now) {
  run.status = status;
  run.reason = std::move(reason);
  run.pausing = false;
  run.ended = now;
  for (TaskState& task : run.tasks) {
    if (task.status == TaskStatus::kOpen) {
      task.status = TaskStatus::kMissed;
      task.reason = "the run ended";
    }
  }
}

// What the run has made, or why it has nothing, is for the higher coordinator, which has the next
// word.
void AwaitModel(RunState& run, ModelVersion regional, std::string reason = "") {
  run.status = RunStatus::kAwaitingModel;
  run.reason = std::move(reason);
  run.regional = std::move(regional);
}

// The run cannot go on by itself.
void Fail(RunState& run, std::string reason, TimePoint now) {
  if (run.follows) {
    AwaitModel(run, {}, std::move(reason));
  } else {
    Finish(run, RunStatus::kFailed, std::move(reason), now);
  }
}

void OpenTask(RunState& run, const std::string& site, TaskKind kind) {
  std::string id = fmt::format("{}.r{}.{}.{}", run.id, run.round, site, TaskKindName(kind));
  if (run.attempt > 1) id += fmt::format(".a{}", run.attempt);
  run.tasks.push_back({.id = std::move(id), .site = site, .round = run.round, .kind = kind});
}

// The round stays to be opened, by whoever resumes the run.
void Pause(RunState& run, std::string reason) {
  run.status = RunStatus::kPaused;
  run.reason = std::move(reason);
  run.pausing = false;
}

// Ends what is open of the current round, which is not closed the usual way.
void EndTasks(RunState& run, const std::string& reason) {
  for (TaskState& task : run.tasks) {
    if (task.status != TaskStatus::kOpen) continue;
    task.status = TaskStatus::kMissed;
    task.reason = reason;
  }
}

bool HasDelivered(const std::map<std::string, TaskState>& tasks, const std::string& site) {
  const auto found = tasks.find(site);
  return found != tasks.end() && found->second.status == TaskStatus::kDone;
}

// The run went to its end: never plain success where sites were missing.
void Complete(RunState& run, TimePoint now) {
  const bool whole = run.misses.empty();
  Finish(run, whole ? RunStatus::kCompleted : RunStatus::kDegraded, DescribeMisses(run), now);
}

void CloseRound(RunState& run, const RunContext& context);

// Tasks of earlier rounds and attempts have ended long since.
bool AllEnded(const RunState& run) {
  return std::none_of(run.tasks.begin(), run.tasks.end(),
                      [](const TaskState& task) { return task.status == TaskStatus::kOpen; });
}

// Opens the current round, or tries it again: asks the sites that have not delivered.
void OpenRound(RunState& run, const RunContext& context) {
  const bool training = run.round <= run.config.rounds;
  run.status = training ? RunStatus::kTraining : RunStatus::kEvaluating;
  run.reason.clear();
  run.deadline = context.now + run.config.round_deadline;
  const auto asked = TasksBySite(run);
  const std::vector<std::string> cohort = Cohort(run.config, context.active_sites);
  const std::size_t quorum = static_cast<std::size_t>(QuorumOf(run.config, cohort.size()));
  if (training && cohort.size() < quorum) {
    Pause(run, fmt::format("round {}: {} sites are active, the quorum is {}", run.round,
                           cohort.size(), quorum));
    return;
  }
  for (const std::string& site : cohort) {
    if (!HasDelivered(asked, site)) {
      OpenTask(run, site, training ? TaskKind::kTrain : TaskKind::kEvaluate);
    }
  }
  // Nobody is left to ask: to score the last model, or because the sites that had not delivered
  // were revoked.
  if (AllEnded(run)) CloseRound(run, context);
}

// The round after the current one: training, or the last evaluation.
void NextRound(RunState& run, const RunContext& context) {
  ++run.round;
  run.attempt = 1;
  std::erase_if(run.tasks, [&](const TaskState& task) { return task.round < run.round - 1; });
  if (run.pausing) {
    Pause(run, "paused on request");
  } else {
    OpenRound(run, context);
  }
}

// Every task has ended, or never will: what the round has is what there is.
void CloseRound(RunState& run, const RunContext& context) {
  if (run.status == RunStatus::kTraining) RefuseOutliers(run);
  const auto tasks = TasksBySite(run);
  if (run.status == RunStatus::kEvaluating) {
    NoteMisses(run, tasks);
    Complete(run, context.now);
    return;
  }
  const auto done = static_cast<int>(std::ranges::count_if(
      tasks, [](const auto& entry) { return entry.second.status == TaskStatus::kDone; }));
  // A site that was revoked meanwhile is no longer counted on.
  const auto counted =
      static_cast<std::size_t>(std::ranges::count_if(tasks, [&](const auto& entry) {
        return entry.second.status == TaskStatus::kDone ||
               std::ranges::binary_search(context.active_sites, entry.first);
      }));
  const int quorum = QuorumOf(run.config, std::max<std::size_t>(counted, 1));
  if (done >= quorum) {
    NoteMisses(run, tasks);
    run.status = RunStatus::kAggregating;
    return;
  }
  const int attempt = run.attempt++;
  if (attempt % run.config.round_attempts != 0) {
    OpenRound(run, context);
    return;
  }
  Pause(run, fmt::format("round {}: {} of {} sites delivered an update, the quorum is {} ({})",
                         run.round, done, counted, quorum, WhoIsMissing(tasks)));
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
    Fail(run, fmt::format("no site made the initial model ({})", WhoIsMissing(TasksBySite(run))),
         context.now);
  } else {
    run.deadline = context.now + run.config.round_deadline;
  }
}

void TaskClosed(RunState& run, const RunContext& context) {
  if (run.status == RunStatus::kInitialising) {
    InitialisationFailed(run, context);
  } else if (AllEnded(run)) {
    CloseRound(run, context);
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
      MadeModel({0, event.result.blob_digest, event.result.blob_bytes});
    } else if (AllEnded(run_)) {
      CloseRound(run_, context_);
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

  void operator()(const UpdateLost& event) {
    const auto task = std::ranges::find(run_.tasks, event.task_id, &TaskState::id);
    if (task == run_.tasks.end() || task->round != run_.round || task->kind != TaskKind::kTrain ||
        task->status != TaskStatus::kDone) {
      return;
    }
    const bool goes_on =
        run_.status == RunStatus::kTraining || run_.status == RunStatus::kAggregating;
    if (!goes_on && run_.status != RunStatus::kPaused) return;
    const bool asks = goes_on && std::ranges::binary_search(context_.active_sites, task->site);
    task->status = asks ? TaskStatus::kOpen : TaskStatus::kMissed;
    task->reason = asks ? "" : "its update was lost at the coordinator";
    task->result = {};
    if (!goes_on) return;
    run_.status = RunStatus::kTraining;
    ForgetMisses(run_);
    // A region's time is the higher coordinator's.
    if (!run_.follows) run_.deadline = context_.now + run_.config.round_deadline;
    if (!asks) TaskClosed(run_, context_);
  }

  void operator()(const RoundAveraged& event) {
    if (run_.status != RunStatus::kAggregating || event.model.round != run_.round) return;
    MadeModel(event.model);
  }

  void operator()(const ModelGiven& event) {
    if (!run_.follows) return;
    if (!run_.models.empty() && event.model.round <= run_.models.back().round) {
      const bool again = event.model.round == run_.models.back().round;
      if (again && HasNothingToDeliver()) OpenAgain(event.deadline);
      return;
    }
    EndTasks(run_, "the higher coordinator went on without this round");
    const bool is_noted = !run_.misses.empty() && run_.misses.back().round == run_.round;
    if (run_.round > 0 && !is_noted &&
        (HasNothingToDeliver() || run_.status == RunStatus::kTraining)) {
      NoteMisses(run_, TasksBySite(run_));
    }
    run_.models.push_back(event.model);
    run_.regional = {};
    run_.round = event.model.round;
    NextRound(run_, context_);
    run_.deadline = std::min(run_.deadline, event.deadline);
  }

  void operator()(const RoundUnwanted& event) {
    if (!run_.follows || event.round != run_.round) return;
    if (run_.status == RunStatus::kAggregating || run_.status == RunStatus::kAwaitingModel) return;
    constexpr char kWhy[] = "the higher coordinator does not wait for this round any more";
    EndTasks(run_, kWhy);
    AwaitModel(run_, {}, kWhy);
  }

  void operator()(const RunBroken& event) {
    if (run_.status != RunStatus::kAggregating || event.round != run_.round) return;
    Fail(run_, event.reason, context_.now);
  }

  void operator()(const TimePassed&) {
    if (!IsTimed(run_) || context_.now < run_.deadline) return;
    if (run_.status == RunStatus::kInitialising && AllEnded(run_)) {
      Fail(run_, "no site asked for the initial model's task", context_.now);
      return;
    }
    EndTasks(run_, "the deadline passed");
    TaskClosed(run_, context_);
  }

  void operator()(const PauseRequested&) {
    if (CanPause(run_)) run_.pausing = true;
  }

  void operator()(const ResumeRequested&) {
    run_.pausing = false;
    if (CanResume(run_)) OpenRound(run_, context_);
  }

  void operator()(const CancelRequested&) {
    Finish(run_, RunStatus::kCancelled, "cancelled", context_.now);
  }

 private:
  // The next global model; in a region, what is delivered towards it.
  void MadeModel(const ModelVersion& model) {
    if (run_.follows) {
      AwaitModel(run_, model);
      return;
    }
    run_.models.push_back(model);
    NextRound(run_, context_);
  }

  // A region's round that came to nothing, yet.
  bool HasNothingToDeliver() const {
    return run_.status == RunStatus::kPaused ||
           (run_.status == RunStatus::kAwaitingModel && run_.regional.digest.empty());
  }

  void OpenAgain(TimePoint deadline) {
    if (run_.status == RunStatus::kAwaitingModel) ++run_.attempt;  // a pause has counted itself
    ForgetMisses(run_);
    OpenRound(run_, context_);
    run_.deadline = std::min(run_.deadline, deadline);
  }

  RunState& run_;
  const RunContext& context_;
};

RunState NewRun(std::string id, std::string plan, RunConfig config, const RunContext& context) {
  RunState run;
  run.id = std::move(id);
  run.plan = std::move(plan);
  run.config = std::move(config);
  run.created = context.now;
  run.deadline = context.now + run.config.round_deadline;
  return run;
}

}  // namespace

RunState StartRun(std::string id, std::string plan, RunConfig config,
                  std::optional<ModelVersion> initial_model, const RunContext& context) {
  RunState run = NewRun(std::move(id), std::move(plan), std::move(config), context);
  if (initial_model) {
    run.models.push_back(*initial_model);
    NextRound(run, context);
  }
  return run;
}

RunState StartFollowing(std::string id, std::string plan, RunConfig config,
                        const std::optional<ModelGiven>& given, const RunContext& context) {
  RunState run = NewRun(std::move(id), std::move(plan), std::move(config), context);
  run.follows = true;
  return given ? Apply(std::move(run), *given, context) : run;
}

RunState Apply(RunState run, const RunEvent& event, const RunContext& context) {
  if (!IsFinal(run.status)) std::visit(Transition(run, context), event);
  return run;
}

bool IsTimed(const RunState& run) {
  return run.status == RunStatus::kInitialising || run.status == RunStatus::kTraining ||
         run.status == RunStatus::kEvaluating;
}

bool CanPause(const RunState& run) {
  // The last evaluation has no round after it to wait before, and a run that follows waits for its
  // next model anyhow.
  return !run.follows && !IsFinal(run.status) && run.status != RunStatus::kPaused &&
         run.status != RunStatus::kEvaluating;
}

bool CanResume(const RunState& run) {
  return !run.follows && (run.status == RunStatus::kPaused || run.pausing);
}

}  // namespace consilium
