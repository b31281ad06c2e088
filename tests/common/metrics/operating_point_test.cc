#include "common/metrics/operating_point.h"

#include <gmock/gmock.h>

#include "common/base/random.h"

namespace consilium {
namespace {

// Of two classes; the probability is that of class 1.
Scores TwoClasses(const std::vector<std::pair<float, int>>& images) {
  Scores scores{.classes = 2};
  for (const auto& [p, label] : images) {
    scores.probabilities.push_back(1 - p);
    scores.probabilities.push_back(p);
    scores.labels.push_back(label);
    scores.patients.push_back(static_cast<std::int64_t>(scores.patients.size()));
  }
  return scores;
}

double SpecificityAt(const Scores& scores, double threshold) {
  double below = 0;
  double others = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (scores.labels[i] == 1) continue;
    ++others;
    below += static_cast<double>(scores.row(i)[1]) < threshold ? 1 : 0;
  }
  return below / others;
}

TEST(OperatingPoint, IsTheLeastThresholdThatIsSpecificEnough) {
  const Scores scores =
      TwoClasses({{0.1F, 0}, {0.2F, 0}, {0.3F, 0}, {0.4F, 0}, {0.5F, 0}, {0.35F, 1}, {0.9F, 1}});
  const double threshold = *ThresholdAtSpecificity(scores, 1, 0.8);
  EXPECT_GT(threshold, static_cast<double>(0.4F));
  EXPECT_LT(threshold, 0.41);
  EXPECT_EQ(SpecificityAt(scores, threshold), 0.8);
  EXPECT_EQ(SpecificityAt(scores, static_cast<double>(0.4F)), 0.6);
}

TEST(OperatingPoint, HoldsItsSpecificityOnRandomScoresWithTies) {
  Random random(1);
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<std::pair<float, int>> images = {{0.5F, 1}, {0.5F, 0}};
    const auto count = random.Below(40);
    for (std::uint64_t i = 0; i < count; ++i) {
      images.emplace_back(static_cast<float>(random.Below(10)) / 10, random.Below(2) == 0 ? 0 : 1);
    }
    const Scores scores = TwoClasses(images);
    const double wanted = random.Uniform();
    const double threshold = *ThresholdAtSpecificity(scores, 1, wanted);
    EXPECT_GE(SpecificityAt(scores, threshold), wanted - 1e-9);
  }
}

TEST(OperatingPoint, IsAbsentWithoutImagesOfBothKinds) {
  EXPECT_EQ(ThresholdAtSpecificity(TwoClasses({{0.1F, 0}, {0.2F, 0}}), 1, 0.9), std::nullopt);
  EXPECT_EQ(ThresholdAtSpecificity(TwoClasses({{0.1F, 1}}), 1, 0.9), std::nullopt);
  EXPECT_EQ(ThresholdAtSpecificity(TwoClasses({}), 1, 0.9), std::nullopt);
  EXPECT_EQ(ThresholdAtSpecificity(TwoClasses({{0.1F, 0}, {0.2F, 1}}), 1, 0), 0);
}

}  // namespace
}  // namespace consilium
