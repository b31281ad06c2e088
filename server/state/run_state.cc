#include "server/state/run_state.h"

#include <algorithm>
#include <array>

namespace consilium {

std::string_view RunStatusName(RunStatus status) {
  static constexpr std::array<std::string_view, 10> kNames = {
      "INITIALISING", "TRAINING",  "AGGREGATING", "EVALUATING", "COMPLETED",
      "FAILED",       "CANCELLED", "PAUSED",      "DEGRADED",   "AWAITING_MODEL"};
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

std::vector<std::uint64_t> SummedClassCounts(const RunState& run, int round) {
  std::vector<std::uint64_t> sums;
  if (!run.config.sums_class_counts) return sums;
  for (const TaskState& task : run.tasks) {
    if (task.round != round - 1 || task.kind != TaskKind::kTrain ||
        task.status != TaskStatus::kDone) {
      continue;
    }
    const auto& counts = task.result.class_counts;
    sums.resize(std::max(sums.size(), counts.size()));
    for (std::size_t c = 0; c < counts.size(); ++c) sums[c] += counts[c];
  }
  return sums;
}

std::string ControlVariateOf(const RunState& run) {
  if (run.config.optimizer.kind != ServerOptimizerKind::kControlVariate || IsFinal(run.status) ||
      run.models.empty()) {
    return "";
  }
  return run.models.back().moments_digest;
}

std::string ChangeOf(const RunState& run) {
  if (IsFinal(run.status) || run.models.size() < 2) return "";
  return run.models.back().change_digest;
}

std::vector<std::string> UnusedResults(const RunState& run) {
  if (!run.regional.digest.empty()) return {run.regional.digest};
  std::vector<std::string> digests;
  for (const auto& [site, task] : DeliveredTasks(run)) {
    if (!task->result.blob_digest.empty()) digests.push_back(task->result.blob_digest);
  }
  return digests;
}

std::map<std::string, const TaskState*> DeliveredTasks(const RunState& run) {
  std::map<std::string, const TaskState*> delivered;
  for (const TaskState& task : run.tasks) {
    if (task.round == run.round && task.status == TaskStatus::kDone) delivered[task.site] = &task;
  }
  return delivered;
}

}  // namespace consilium
