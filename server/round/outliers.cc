#include "server/round/outliers.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "common/schedule/local_work.h"

namespace consilium {
namespace {

// Below it a median says nothing of who is the odd one.
constexpr std::size_t kMinCohortForMedian = 3;

}  // namespace

void RefuseOutliers(RunState& run) {
  if (!(run.config.max_norm_ratio > 0)) return;
  // With what was taken back when the round closed before, if it is closed once more: of the others
  // alone the median would be another.
  std::map<std::string, TaskState*> last;  // by site
  for (TaskState& task : run.tasks) {
    const bool has_come = !task.result.blob_digest.empty();
    if (task.round == run.round && task.kind == TaskKind::kTrain && has_come) {
      last[task.site] = &task;
    }
  }
  std::vector<TaskState*> delivered;
  for (const auto& [site, task] : last) delivered.push_back(task);
  if (delivered.size() < kMinCohortForMedian) return;
  // Where updates count by the step, so do their norms.
  const auto norm_of = [&](const TaskState& task) {
    const double norm = task.result.update_norm;
    if (!run.config.normalise) return norm;
    return norm / LocalProgress(task.result.steps, run.config.local.momentum);
  };
  std::vector<double> norms;
  for (const TaskState* task : delivered) norms.push_back(norm_of(*task));
  const auto middle = norms.begin() + static_cast<std::ptrdiff_t>((norms.size() - 1) / 2);
  std::nth_element(norms.begin(), middle, norms.end());
  const double median = *middle;  // the lower one of two
  for (TaskState* task : delivered) {
    const double norm = norm_of(*task);
    if (task->status != TaskStatus::kDone || median == 0 ||
        norm <= run.config.max_norm_ratio * median) {
      continue;
    }
    task->status = TaskStatus::kFailed;
    task->reason = fmt::format(
        "its update was refused: its norm{} is {:.4g}, more than {:g} times the round's median of "
        "{:.4g} (admission.max_norm_ratio)",
        run.config.normalise ? ", by the step," : "", norm, run.config.max_norm_ratio, median);
  }
}

}  // namespace consilium
