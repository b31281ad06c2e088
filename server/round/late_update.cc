#include "server/round/late_update.h"

#include <algorithm>

namespace consilium {
namespace {

// Whether a missed task's update may count for the round after its own.
bool MayBeLate(const RunState& run, const TaskState& task) {
  return run.config.late_updates == LateUpdates::kNextRound && task.kind == TaskKind::kTrain &&
         task.status == TaskStatus::kMissed && !IsDelivered(run, task);
}

}  // namespace

const TaskState* OpenTaskOf(const RunState& run, const std::string& site) {
  const auto found = std::find_if(run.tasks.begin(), run.tasks.end(), [&](const TaskState& task) {
    return task.site == site && task.status == TaskStatus::kOpen;
  });
  return found == run.tasks.end() ? nullptr : &*found;
}

bool IsDelivered(const RunState& run, const TaskState& task) {
  return std::any_of(run.tasks.begin(), run.tasks.end(), [&](const TaskState& other) {
    return other.site == task.site && other.round == task.round &&
           other.status == TaskStatus::kDone;
  });
}

bool IsBetweenRounds(const RunState& run, const TaskState& task) {
  return run.status == RunStatus::kAggregating && task.round == run.round && MayBeLate(run, task);
}

const TaskState* SuccessorOf(const RunState& run, const TaskState& task) {
  const TaskState* open = OpenTaskOf(run, task.site);
  if (open == nullptr || open->kind != task.kind || task.status != TaskStatus::kMissed ||
      IsDelivered(run, task)) {
    return nullptr;
  }
  const int newest = MayBeLate(run, task) ? task.round + 1 : task.round;
  return open->round <= newest ? open : nullptr;
}

bool MayCountYet(const RunState& run, const TaskState& task) {
  if (IsFinal(run.status) || task.kind != TaskKind::kTrain || task.status != TaskStatus::kMissed ||
      IsDelivered(run, task)) {
    return false;
  }
  const bool is_open = task.round == run.round && run.status != RunStatus::kAggregating &&
                       run.status != RunStatus::kAwaitingModel;
  return is_open || IsBetweenRounds(run, task) || SuccessorOf(run, task) != nullptr;
}

const ModelVersion* ModelOfRound(const RunState& run, int round) {
  const auto found = std::find_if(run.models.begin(), run.models.end(),
                                  [&](const ModelVersion& model) { return model.round == round; });
  return found == run.models.end() ? nullptr : &*found;
}

bool HasModel(const RunState& run, const std::string& digest) {
  return std::any_of(run.models.begin(), run.models.end(),
                     [&](const ModelVersion& model) { return model.digest == digest; });
}

}  // namespace consilium
