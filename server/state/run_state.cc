#include "server/state/run_state.h"

#include <array>

namespace consilium {

std::string_view RunStatusName(RunStatus status) {
  static constexpr std::array<std::string_view, 9> kNames = {
      "INITIALISING", "TRAINING",  "AGGREGATING", "EVALUATING", "COMPLETED",
      "FAILED",       "CANCELLED", "PAUSED",      "DEGRADED"};
  return kNames[static_cast<std::size_t>(status)];
}

bool IsFinal(RunStatus status) {
  return status == RunStatus::kCompleted || status == RunStatus::kDegraded ||
         status == RunStatus::kFailed || status == RunStatus::kCancelled;
}

std::string_view TaskKindName(TaskKind kind) {
  static constexpr std::array<std::string_view, 3> kNames = {"initialise", "train", "evaluate"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::string_view TaskStatusName(TaskStatus status) {
  static constexpr std::array<std::string_view, 5> kNames = {"open", "done", "failed", "refused",
                                                             "missed"};
  return kNames[static_cast<std::size_t>(status)];
}

std::map<std::string, const TaskState*> DeliveredTasks(const RunState& run) {
  std::map<std::string, const TaskState*> delivered;
  for (const TaskState& task : run.tasks) {
    if (task.round == run.round && task.status == TaskStatus::kDone) delivered[task.site] = &task;
  }
  return delivered;
}

}  // namespace consilium
