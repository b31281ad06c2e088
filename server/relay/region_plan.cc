#include "server/relay/region_plan.h"

#include <algorithm>
#include <array>

#include "common/config/plan.h"

namespace consilium {
namespace {

constexpr double kQuorumInsteadOfCount = 0.5;

// These are of each hospital, and a region tells but their mean or their sum.
Status CheckCanGoThrough(const v1::RunPlan& plan) {
  const std::string& strategy = plan.strategy().name();
  static constexpr std::array<std::string_view, 5> kOfEachHospital = {
      "scaffold", "fednova", "median", "trimmed_mean", "krum"};
  if (std::ranges::find(kOfEachHospital, strategy) != kOfEachHospital.end()) {
    return InvalidArgument(
        "strategy.name: {} needs each hospital's own update, and this is a region", strategy);
  }
  if (plan.training().class_counts() == "federated") {
    return InvalidArgument("training.class_counts: federated counts do not go through a region");
  }
  if (plan.encoding().update() == "top_k") {
    return InvalidArgument(
        "encoding.update: a region's update changes everything; want float32, bfloat16 or int8");
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
  plan.set_round_deadline_seconds(std::max(1U, plan.round_deadline_seconds() / 10 * 9));
  plan.set_round_attempts(1);
  plan.clear_late_updates();
  if (plan.strategy().name() != "fedprox") plan.clear_strategy();
  CSL_RETURN_IF_ERROR(CheckPlan(plan));
  return plan;
}

}  // namespace consilium
