#include "server/store/run_config.h"

#include <gmock/gmock.h>

#include "common/config/plan.h"
#include "tests/testing/status_matchers.h"

namespace consilium {
namespace {

using testing::IsOk;
using testing::StatusIs;

v1::RunPlan PlanOf(const std::string& strategy) {
  v1::RunPlan plan = DefaultPlan();
  plan.mutable_strategy()->set_name(strategy);
  plan.mutable_strategy()->set_server_learning_rate(0.5);
  plan.mutable_strategy()->set_server_momentum(0.8);
  plan.mutable_strategy()->set_server_beta2(0.95);
  plan.mutable_strategy()->set_server_tau(0.01);
  return plan;
}

TEST(RunConfig, EachStrategyHasItsOwnStep) {
  using enum ServerOptimizerKind;
  const std::vector<std::pair<std::string, ServerOptimizerKind>> kinds = {
      {"fedavgm", kMomentum}, {"fedadagrad", kAdagrad}, {"fedadam", kAdam}, {"fedyogi", kYogi}};
  for (const auto& [name, kind] : kinds) {
    ASSERT_OK_AND_ASSIGN(const RunConfig config, ParseRunConfig(PlanOf(name).SerializeAsString()));
    EXPECT_EQ(config.optimizer,
              (ServerOptimizer{
                  .kind = kind, .learning_rate = 0.5, .beta1 = 0.8, .beta2 = 0.95, .tau = 0.01}))
        << name;
    EXPECT_FALSE(config.normalise);
  }
  for (const std::string name : {"", "fedavg", "fedprox", "fednova"}) {
    ASSERT_OK_AND_ASSIGN(const RunConfig config, ParseRunConfig(PlanOf(name).SerializeAsString()));
    EXPECT_EQ(config.optimizer, ServerOptimizer{}) << name;
    EXPECT_EQ(config.normalise, name == "fednova");
  }
}

TEST(RunConfig, StrategyMaySayHowUpdatesAreCombined) {
  using enum Combination;
  const std::vector<std::pair<std::string, Combination>> names = {
      {"fedavg", kMean}, {"median", kMedian}, {"trimmed_mean", kTrimmedMean}, {"krum", kKrum}};
  for (const auto& [name, combination] : names) {
    ASSERT_OK_AND_ASSIGN(const RunConfig config, ParseRunConfig(PlanOf(name).SerializeAsString()));
    EXPECT_EQ(config.combination, combination) << name;
    EXPECT_EQ(config.optimizer, ServerOptimizer{}) << name;
  }
}

TEST(RunConfig, TakesOverStagesAndWhatReachIsMadeOf) {
  v1::RunPlan plan = PlanOf("scaffold");
  plan.mutable_training()->set_learning_rate(0.25);
  plan.mutable_training()->set_schedule("one_cycle");
  plan.mutable_training()->set_warmup(0.125);
  plan.mutable_training()->set_class_counts("federated");
  v1::Stage& slow = *plan.mutable_training()->add_stages();
  slow.add_tensors("conv1");
  slow.set_rate(0.5);
  v1::Stage& frozen = *plan.mutable_training()->add_stages();
  frozen.add_tensors("fc");
  frozen.set_frozen(0.75);
  ASSERT_OK_AND_ASSIGN(const RunConfig config, ParseRunConfig(plan.SerializeAsString()));
  EXPECT_EQ(config.optimizer, ServerOptimizer{.kind = ServerOptimizerKind::kControlVariate});
  EXPECT_EQ(config.local.learning_rate, 0.25);
  EXPECT_EQ(config.local.schedule, Schedule::kOneCycle);
  EXPECT_EQ(config.local.warmup, 0.125);
  EXPECT_TRUE(config.sums_class_counts);
  EXPECT_EQ(config.stages, (std::vector<Stage>{{.tensors = {"conv1"}, .rate = 0.5},
                                               {.tensors = {"fc"}, .rate = 1, .frozen = 0.75}}));
}

TEST(RunConfig, StrategyThatNobodyKnowsIsNotTakenForAnother) {
  EXPECT_THAT(ParseRunConfig(PlanOf("fedmagic").SerializeAsString()),
              StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(ParseRunConfig("no plan"), StatusIs(absl::StatusCode::kDataLoss));
}

}  // namespace
}  // namespace consilium
