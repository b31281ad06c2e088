#include "server/relay/region_plan.h"

#include <gmock/gmock.h>

#include "common/config/plan.h"
#include "common/wire/convert.h"
#include "tests/testing/small_model.h"
#include "tests/testing/status_matchers.h"

namespace consilium {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

v1::RunPlan Plan() {
  v1::RunPlan plan = DefaultPlan();
  *plan.mutable_model() = ToProto(testing::SmallSpec());
  return plan;
}

TEST(RegionPlan, AsksAllOfTheRegionsHospitalsForTheSameTraining) {
  v1::RunPlan higher = Plan();
  higher.add_sites("east");
  higher.mutable_quorum()->set_fraction(0.75);
  higher.set_late_updates("next_round");
  higher.set_round_attempts(3);
  ASSERT_OK_AND_ASSIGN(const v1::RunPlan plan, RegionPlan(higher));
  EXPECT_EQ(plan.sites_size(), 0);
  EXPECT_EQ(plan.quorum().fraction(), 0.75);
  EXPECT_EQ(plan.round_attempts(), 1U);
  EXPECT_EQ(plan.late_updates(), "");
  EXPECT_EQ(plan.training().SerializeAsString(), higher.training().SerializeAsString());
  EXPECT_EQ(plan.seed(), higher.seed());
}

TEST(RegionPlan, CountOfTheHigherCoordinatorsSitesIsNoQuorumOfARegion) {
  v1::RunPlan higher = Plan();
  higher.mutable_quorum()->set_count(7);
  ASSERT_OK_AND_ASSIGN(const v1::RunPlan plan, RegionPlan(higher));
  EXPECT_EQ(plan.quorum().count(), 0U);
  EXPECT_EQ(plan.quorum().fraction(), 0.5);
}

TEST(RegionPlan, LeavesTheServersStepToTheHigherCoordinator) {
  v1::RunPlan higher = Plan();
  higher.mutable_strategy()->set_name("fedadam");
  higher.mutable_strategy()->set_server_learning_rate(0.1);
  higher.mutable_strategy()->set_server_momentum(0.9);
  higher.mutable_strategy()->set_server_beta2(0.99);
  higher.mutable_strategy()->set_server_tau(0.001);
  ASSERT_OK_AND_ASSIGN(v1::RunPlan plan, RegionPlan(higher));
  EXPECT_FALSE(plan.has_strategy());
  higher.mutable_strategy()->Clear();
  higher.mutable_strategy()->set_name("fedprox");
  higher.mutable_strategy()->set_proximal_mu(0.1);
  ASSERT_OK_AND_ASSIGN(plan, RegionPlan(higher));
  EXPECT_EQ(plan.strategy().proximal_mu(), 0.1);
}

TEST(RegionPlan, ModelsGoOnWhole) {
  v1::RunPlan higher = Plan();
  ASSERT_OK_AND_ASSIGN(v1::RunPlan plan, RegionPlan(higher));
  EXPECT_FALSE(plan.has_encoding());  // which hospitals of an earlier version would refuse
  higher.mutable_encoding()->set_update("int8");
  higher.mutable_encoding()->set_model("int8");
  ASSERT_OK_AND_ASSIGN(plan, RegionPlan(higher));
  EXPECT_EQ(plan.encoding().update(), "int8");
  EXPECT_EQ(plan.encoding().model(), "");
}

TEST(RegionPlan, RefusesWhatNeedsEachHospitalsOwnUpdate) {
  const auto refused = [](const v1::RunPlan& plan, const std::string& field) {
    EXPECT_THAT(RegionPlan(plan), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(field)));
  };
  v1::RunPlan plan = Plan();
  plan.mutable_strategy()->set_name("scaffold");
  refused(plan, "strategy.name: scaffold");
  plan.mutable_strategy()->set_name("fednova");
  refused(plan, "strategy.name: fednova");
  plan.mutable_strategy()->set_name("median");
  refused(plan, "strategy.name: median");
  plan = Plan();
  plan.mutable_training()->set_class_counts("federated");
  refused(plan, "training.class_counts");
  plan = Plan();
  plan.mutable_admission()->set_max_train_examples(20'000);
  refused(plan, "admission.max_train_examples");
  plan = Plan();
  plan.mutable_encoding()->set_update("top_k");
  refused(plan, "encoding.update");
}

}  // namespace
}  // namespace consilium
