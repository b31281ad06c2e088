#include "server/relay/region_plan.h"

#include <algorithm>
#include <array>

#include "common/config/plan.h"

namespace consilium {
namespace {

constexpr double kQuorumInsteadOfCount = 0.5;

// What a mean of means, or a sum of sums, says as well as each hospital for itself.
Status CheckCanGoThrough(const v1::RunPlan& plan) {
  static constexpr std::array<std::string_view, 7> kOfMeans = {
      "", "fedavg", "fedprox", "fedavgm", "fedadagrad", "fedadam", "fedyogi"};
  if (std::ranges::find(kOfMeans, plan.strategy().name()) == kOfMeans.end()) {
    return InvalidArgument(
        "strategy.name: {} needs each hospital's own update, and this is a region",
        plan.strategy().name());
  }
  if (plan.training().class_counts() == "federated") {
    return InvalidArgument("training.class_counts: federated counts do not go through a region");
  }
  if (plan.encoding().update() == "top_k") {
    return InvalidArgument(
        "encoding.update: a region's update changes everything; want float32, bfloat16 or int8");
  }
  if (plan.admission().max_train_examples() > 0) {
    return InvalidArgument(
        "admission.max_train_examples: a region's update weighs as much as its hospitals together");
  }
  return OkStatus();
}

}  // namespace

StatusOr<v1::RunPlan> RegionPlan(const v1::RunPlan& higher) {
  CSL_RETURN_IF_ERROR(CheckCanGoThrough(higher));
  v1::RunPlan plan = higher;
  plan.clear_sites();
  if (plan.quorum().count() > 0) {
    plan.mutable_quorum()->Clear();
    plan.mutable_quorum()->set_fraction(kQuorumInsteadOfCount);
  }
  plan.set_round_attempts(1);
  plan.clear_late_updates();
  // The models are given, and go on whole.
  if (plan.has_encoding()) plan.mutable_encoding()->clear_model();
  if (plan.strategy().name() != "fedprox") plan.clear_strategy();
  CSL_RETURN_IF_ERROR(CheckPlan(plan));
  return plan;
}

}  // namespace consilium
