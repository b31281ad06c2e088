#include "client/session/plan_options.h"

#include <gmock/gmock.h>

#include "common/config/plan.h"
#include "tests/testing/status_matchers.h"

namespace consilium {
namespace {

using ::testing::ElementsAre;

v1::RunPlan Plan(std::uint32_t epochs, std::uint32_t steps) {
  v1::RunPlan plan = DefaultPlan();
  plan.set_rounds(10);
  plan.mutable_training()->set_batch_size(16);
  plan.mutable_training()->set_local_epochs(epochs);
  plan.mutable_training()->set_local_steps(steps);
  return plan;
}

std::uint64_t FirstEpoch(const v1::RunPlan& plan, int round, std::uint64_t examples) {
  return ToTrainOptions(plan, round, {examples, 0, 0})->first_epoch;
}

TEST(TrainOptions, RoundsGoOnWhereTheLastOneEnded) {
  EXPECT_EQ(FirstEpoch(Plan(2, 0), 1, 100), 0U);
  EXPECT_EQ(FirstEpoch(Plan(2, 0), 4, 100), 6U);
  ASSERT_OK_AND_ASSIGN(const TrainOptions options, ToTrainOptions(Plan(1, 0), 4, {5, 5, 5}));
  EXPECT_DOUBLE_EQ(options.progress_begin, 0.3);
  EXPECT_DOUBLE_EQ(options.progress_end, 0.4);
}

TEST(TrainOptions, NoTwoRoundsOfStepsBeginTheSameEpoch) {
  // 30 images are 2 batches of 16: 7 steps begin 4 epochs.
  EXPECT_EQ(FirstEpoch(Plan(1, 7), 2, 30), 4U);
  EXPECT_EQ(FirstEpoch(Plan(1, 7), 3, 30), 8U);
  // A large site takes a part of an epoch and begins another one next time.
  EXPECT_EQ(FirstEpoch(Plan(1, 7), 3, 10'000), 2U);
}

TEST(TrainOptions, RestrictedSoftmaxLeavesOutTheClassesThatAreAbsent) {
  v1::RunPlan plan = Plan(1, 0);
  ASSERT_OK_AND_ASSIGN(TrainOptions options, ToTrainOptions(plan, 1, {0, 7, 9}));
  EXPECT_THAT(options.absent_classes, ElementsAre());
  plan.mutable_training()->set_restrict_softmax(true);
  ASSERT_OK_AND_ASSIGN(options, ToTrainOptions(plan, 1, {0, 7, 9}));
  EXPECT_THAT(options.absent_classes, ElementsAre(0));
}

TEST(TrainOptions, TakeOverLossSamplerAndStrategy) {
  v1::RunPlan plan = Plan(1, 0);
  ASSERT_OK_AND_ASSIGN(TrainOptions options, ToTrainOptions(plan, 1, {5, 5, 5}));
  EXPECT_EQ(options.loss, LossKind::kCrossEntropy);
  EXPECT_EQ(options.proximal_mu, 0);
  EXPECT_EQ(ToTrainLoader(plan, {}).sampling, Sampling::kShuffled);
  plan.mutable_training()->set_loss("focal");
  plan.mutable_training()->set_focal_gamma(3);
  plan.mutable_training()->set_sampler("patient_balanced");
  plan.mutable_strategy()->set_proximal_mu(0.25);
  ASSERT_OK_AND_ASSIGN(options, ToTrainOptions(plan, 1, {5, 5, 5}));
  EXPECT_EQ(options.loss, LossKind::kFocal);
  EXPECT_EQ(options.focal_gamma, 3);
  EXPECT_EQ(options.proximal_mu, 0.25);
  EXPECT_EQ(ToTrainLoader(plan, {}).sampling, Sampling::kPatientBalanced);
  EXPECT_EQ(ToEvaluationLoader(plan, {}).sampling, Sampling::kInOrder);
}

}  // namespace
}  // namespace consilium
