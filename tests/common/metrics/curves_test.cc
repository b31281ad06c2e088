#include "common/metrics/curves.h"

#include <gmock/gmock.h>

#include <cmath>

#include "common/base/random.h"

namespace consilium {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

// Positives and negatives a bin.
ScoreCounts Counts(const std::vector<std::tuple<int, int, int>>& bins) {
  ScoreCounts counts;
  for (const auto& [bin, positives, negatives] : bins) {
    counts.positives[static_cast<std::size_t>(bin)] = positives;
    counts.negatives[static_cast<std::size_t>(bin)] = negatives;
  }
  return counts;
}

TEST(Curves, AreaOfTheScoresIsWithinTheBound) {
  Random random(3);
  for (int round = 0; round < 20; ++round) {
    ScoreCounts counts;
    std::vector<double> positives, negatives;
    for (int i = 0; i < 200; ++i) {
      const bool positive = random.Below(3) == 0;
      // Close together, so that many share a bin.
      const double score = 0.5 + 0.004 * random.Uniform() + (positive ? 0.001 : 0);
      (positive ? positives : negatives).push_back(score);
      const auto bin = static_cast<std::size_t>(score * Evaluation::kBins);
      ++(positive ? counts.positives : counts.negatives)[bin];
    }
    double wins = 0;
    for (const double p : positives) {
      for (const double n : negatives) wins += p > n ? 1 : p == n ? 0.5 : 0;
    }
    const double exact = wins / static_cast<double>(positives.size() * negatives.size());
    EXPECT_LE(std::abs(*RocAuc(counts) - exact), *RocAucBound(counts) + 1e-12);
    EXPECT_GT(*RocAucBound(counts), 0.01);
  }
}

TEST(Curves, GoFromNobodyToEveryone) {
  const auto points = Curve(Counts({{200, 6, 1}, {100, 3, 4}, {10, 1, 15}}));
  ASSERT_THAT(points, SizeIs(Evaluation::kBins + 1));
  EXPECT_EQ(points.front().sensitivity, 0);
  EXPECT_EQ(points.front().specificity, 1);
  EXPECT_FALSE(points.front().precision);
  EXPECT_EQ(points.back().threshold, 0);
  EXPECT_EQ(points.back().sensitivity, 1);
  EXPECT_EQ(points.back().specificity, 0);
  EXPECT_DOUBLE_EQ(*points.back().precision, 1.0 / 3);
  EXPECT_THAT(Curve(Counts({{200, 6, 0}})), IsEmpty());
}

TEST(Curves, OperatingPointIsTheMostSensitiveOneThatIsSpecificEnough) {
  const ScoreCounts counts = Counts({{200, 6, 1}, {100, 3, 4}, {10, 1, 15}});
  const auto strict = AtSpecificity(counts, 0.9);
  ASSERT_TRUE(strict);
  EXPECT_DOUBLE_EQ(strict->threshold, 200.0 / 256);
  EXPECT_DOUBLE_EQ(strict->sensitivity, 0.6);
  EXPECT_DOUBLE_EQ(strict->specificity, 0.95);
  EXPECT_DOUBLE_EQ(*strict->precision, 6.0 / 7);
  EXPECT_DOUBLE_EQ(AtSpecificity(counts, 0.75)->sensitivity, 0.9);
  EXPECT_DOUBLE_EQ(AtSpecificity(counts, 0)->sensitivity, 1);
  EXPECT_DOUBLE_EQ(AtSpecificity(counts, 1)->sensitivity, 0);
  EXPECT_FALSE(AtSpecificity(Counts({{1, 5, 0}}), 0.9));
}

TEST(Curves, CalibrationErrorIsTheMeanDistance) {
  // In the bin around 0.77 a quarter is positive, in the one around 0.02 none.
  const double high = 196.5 / 256;
  const double low = 4.5 / 256;
  EXPECT_NEAR(*CalibrationError(Counts({{196, 5, 15}, {4, 0, 60}})),
              (20 * (high - 0.25) + 60 * low) / 80, 1e-12);
  // As good as can be: the share of positives is the probability.
  ScoreCounts calibrated;
  for (int bin = 0; bin < Evaluation::kBins; ++bin) {
    const auto i = static_cast<std::size_t>(bin);
    calibrated.positives[i] = (bin + 0.5) / Evaluation::kBins;
    calibrated.negatives[i] = 1 - calibrated.positives[i];
  }
  EXPECT_NEAR(*CalibrationError(calibrated), 0, 1e-12);
  EXPECT_FALSE(CalibrationError(ScoreCounts()));
}

}  // namespace
}  // namespace consilium
