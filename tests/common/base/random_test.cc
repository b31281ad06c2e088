#include "common/base/random.h"

#include <gtest/gtest.h>

#include <numeric>
#include <set>

namespace consilium {
namespace {

TEST(Random, FollowsThePublishedSequence) {
  // The first outputs of SplitMix64 for seed 1234567, as its authors' reference code prints them.
  Random random(1234567);
  EXPECT_EQ(random.Next(), 6457827717110365317ULL);
  EXPECT_EQ(random.Next(), 3203168211198807973ULL);
  EXPECT_EQ(random.Next(), 9817491932198370423ULL);
}

TEST(Random, PlacesDiffer) {
  std::set<std::uint64_t> first;
  for (int epoch = 0; epoch < 50; ++epoch) {
    for (int image = 0; image < 50; ++image) first.insert(Random::For(7, epoch, image).Next());
  }
  EXPECT_EQ(first.size(), 2500U);
  EXPECT_EQ(Random::For(7, 1, 2).Next(), Random::For(7, 1, 2).Next());
}

TEST(Random, ShuffleIsAPermutation) {
  std::vector<int> items(1000);
  std::iota(items.begin(), items.end(), 0);
  std::vector<int> shuffled = items;
  Random(3).Shuffle(shuffled);
  EXPECT_NE(shuffled, items);
  std::sort(shuffled.begin(), shuffled.end());
  EXPECT_EQ(shuffled, items);
}

TEST(Random, NormalHasTheMomentsOfANormal) {
  Random random(5);
  double sum = 0;
  double squares = 0;
  constexpr int kDraws = 200'000;
  for (int i = 0; i < kDraws; ++i) {
    const double x = random.Normal();
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / kDraws, 0, 0.01);
  EXPECT_NEAR(squares / kDraws, 1, 0.02);
}

}  // namespace
}  // namespace consilium
