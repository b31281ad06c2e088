#include "client/train/class_weights.h"

#include <gmock/gmock.h>

#include <cmath>

#include "tests/testing/status_matchers.h"

namespace consilium {
namespace {

using ::testing::HasSubstr;
using testing::StatusIs;

TEST(ClassWeights, InverseFrequency) {
  // n / (K n_c) up to the common scale: 274 covid, 8 normal, 53 pneumonia.
  ASSERT_OK_AND_ASSIGN(const auto weights, ClassWeights("inverse", {274, 8, 53}));
  EXPECT_NEAR(weights[0], 335.0 / (3 * 274), 1e-5);
  EXPECT_NEAR(weights[1], 335.0 / (3 * 8), 1e-4);
  EXPECT_NEAR(weights[2], 335.0 / (3 * 53), 1e-5);
}

TEST(ClassWeights, EffectiveNumberLiesBetween) {
  const auto none = *ClassWeights("none", {1, 2, 3});
  EXPECT_TRUE(none.empty());
  const auto effective = *ClassWeights("effective", {3000, 100, 1000});
  const auto inverse = *ClassWeights("inverse", {3000, 100, 1000});
  EXPECT_LT(effective[1] / effective[0], inverse[1] / inverse[0]);
  EXPECT_GT(effective[1] / effective[0], 1);
  const double ratio = (1 - std::pow(0.999, 3000)) / (1 - std::pow(0.999, 100));
  EXPECT_NEAR(effective[1] / effective[0], ratio, 1e-3);
}

TEST(ClassWeights, AbsentClassWeighsNothingAndUnknownMethodIsRefused) {
  const auto weights = *ClassWeights("inverse", {0, 10, 30});
  EXPECT_EQ(weights[0], 0);
  EXPECT_NEAR((weights[1] * 10 + weights[2] * 30) / 40, 1, 1e-6);
  EXPECT_THAT(ClassWeights("magic", {1}), StatusIs(testing::kInvalid));
}

TEST(ClassWeights, SmallCountsAreNotTold) {
  EXPECT_EQ(CountsToTell({0, 2, 4, 5, 300}), (std::vector<std::uint64_t>{0, 0, 0, 5, 300}));
  EXPECT_EQ(CountsToTell({0, 4, 60, 300}), (std::vector<std::uint64_t>{0, 0, 0, 300}));
  EXPECT_EQ(CountsToTell({0, 60, 300}), (std::vector<std::uint64_t>{0, 60, 300}));
}

TEST(ClassWeights, AreOfWhatAllHaveWhereThatIsKnown) {
  EXPECT_EQ(CountsToWeighBy({3, 10, 0}, {0, 400, 60}), (std::vector<std::uint64_t>{3, 400, 60}));
  EXPECT_EQ(CountsToWeighBy({3, 10, 0}, {}), (std::vector<std::uint64_t>{3, 10, 0}));
}

}  // namespace
}  // namespace consilium
