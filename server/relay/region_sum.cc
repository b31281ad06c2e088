#include "server/relay/region_sum.h"

#include <algorithm>

#include "common/wire/convert.h"

namespace consilium {
namespace {

constexpr std::size_t kLeastHospitals = 2;

// Whether the sums are within the bounds that each of them was.
bool IsSound(const Evaluation& evaluation) {
  return Evaluation::FromCounts(evaluation.classes(), evaluation.confusion_counts(),
                                evaluation.histogram_counts(), evaluation.loss_sum())
      .ok();
}

}  // namespace

StatusOr<v1::TaskResult> SumOf(const RunState& run) {
  const auto delivered = DeliveredTasks(run);
  if (delivered.size() < kLeastHospitals) {
    return FailedPrecondition(
        "{} of the region's hospitals delivered, and it tells of no single one", delivered.size());
  }
  v1::TaskResult result;
  Evaluation evaluation;
  double examples = 0;
  for (const auto& [site, task] : delivered) {
    const TaskResult& own = task->result;
    CSL_RETURN_IF_ERROR(evaluation.Merge(own.evaluation));
    result.set_train_examples(result.train_examples() + own.train_examples);
    result.set_steps(result.steps() + own.steps);
    result.set_train_seconds(std::max(result.train_seconds(), own.train_seconds));
    examples += static_cast<double>(own.train_examples);
  }
  for (const auto& [site, task] : delivered) {
    if (examples == 0) break;
    const double share = static_cast<double>(task->result.train_examples) / examples;
    result.set_train_loss(result.train_loss() + share * task->result.train_loss);
  }
  if (evaluation.classes() > 0 && IsSound(evaluation)) {
    *result.mutable_evaluation() = ToProto(evaluation);
  }
  return result;
}

}  // namespace consilium
