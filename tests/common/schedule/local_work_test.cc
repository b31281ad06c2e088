#include "common/schedule/local_work.h"

#include <gtest/gtest.h>

namespace consilium {
namespace {

TEST(RateFactor, WarmsUpThenFollowsTheCosine) {
  EXPECT_DOUBLE_EQ(RateFactor(Schedule::kConstant, 0, 0.7), 1);
  EXPECT_DOUBLE_EQ(RateFactor(Schedule::kCosine, 0, 0), 1);
  EXPECT_DOUBLE_EQ(RateFactor(Schedule::kCosine, 0, 0.5), 0.5);
  EXPECT_NEAR(RateFactor(Schedule::kCosine, 0, 1), 0, 1e-12);
  EXPECT_DOUBLE_EQ(RateFactor(Schedule::kCosine, 0.2, 0.1), 0.5);
  EXPECT_DOUBLE_EQ(RateFactor(Schedule::kCosine, 0.2, 0.2), 1);
  EXPECT_DOUBLE_EQ(RateFactor(Schedule::kConstant, 1, 0.25), 0.25);
}

TEST(RateFactor, OneCycleRisesAndFallsByHalfACosine) {
  EXPECT_NEAR(RateFactor(Schedule::kOneCycle, 0.3, 0), 1.0 / 25, 1e-12);
  EXPECT_NEAR(RateFactor(Schedule::kOneCycle, 0.3, 0.15), (1 + 1.0 / 25) / 2, 1e-12);
  EXPECT_NEAR(RateFactor(Schedule::kOneCycle, 0.3, 0.3), 1, 1e-12);
  EXPECT_NEAR(RateFactor(Schedule::kOneCycle, 0.3, 0.65), (1 + 4e-6) / 2, 1e-12);
  EXPECT_NEAR(RateFactor(Schedule::kOneCycle, 0.3, 1), 4e-6, 1e-12);
}

TEST(RateFactor, OfARoundIsThatOfItsMiddle) {
  EXPECT_DOUBLE_EQ(RateFactorOfRound(Schedule::kCosine, 0, 2, 4),
                   RateFactor(Schedule::kCosine, 0, 0.375));
}

TEST(ScheduleOf, KnowsThePlansNames) {
  EXPECT_EQ(ScheduleOf("cosine"), Schedule::kCosine);
  EXPECT_EQ(ScheduleOf("one_cycle"), Schedule::kOneCycle);
  EXPECT_EQ(ScheduleOf("constant"), Schedule::kConstant);
}

// Momentum by hand: each step moves by the sum of all gradients so far, the older ones decayed.
TEST(LocalProgress, IsTheSumOfTheGradientsWeights) {
  for (const double momentum : {0.0, 0.5, 0.9}) {
    for (const std::uint64_t steps : {1, 2, 7, 100}) {
      double velocity = 0;
      double moved = 0;
      for (std::uint64_t step = 0; step < steps; ++step) {
        velocity = momentum * velocity + 1;  // a gradient of 1, always
        moved += velocity;
      }
      EXPECT_NEAR(LocalProgress(steps, momentum), moved, 1e-9 * moved);
    }
  }
}

}  // namespace
}  // namespace consilium
