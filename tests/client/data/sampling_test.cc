#include "client/data/sampling.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <map>

namespace consilium {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Pair;

// 60 images: 51 of class 0, 6 of class 1, 3 of class 3; of 20 patients, of whom one has 41.
struct Site {
  std::vector<std::int64_t> labels;
  std::vector<std::int64_t> patients;

  Site() {
    for (std::int64_t i = 0; i < 60; ++i) {
      labels.push_back(i < 51 ? 0 : i < 57 ? 1 : 3);
      patients.push_back(std::max<std::int64_t>(0, i - 40));
    }
  }
  std::vector<std::size_t> Draw(Sampling sampling, std::uint64_t epoch = 1) const {
    return DrawEpoch(sampling, labels, patients, Random::For(7, epoch));
  }
};

// How often each value comes.
template <typename T>
std::map<T, int> Count(const std::vector<T>& values) {
  std::map<T, int> counts;
  for (const T& value : values) ++counts[value];
  return counts;
}

std::vector<std::int64_t> At(const std::vector<std::int64_t>& groups,
                             const std::vector<std::size_t>& order) {
  std::vector<std::int64_t> chosen;
  for (const std::size_t i : order) chosen.push_back(groups[i]);
  return chosen;
}

TEST(Sampling, ShuffledTakesEachImageOnceInAnotherOrderEachEpoch) {
  const Site site;
  const auto first = site.Draw(Sampling::kShuffled, 1);
  EXPECT_EQ(first.size(), 60U);
  EXPECT_EQ(Count(first).size(), 60U);
  EXPECT_EQ(first, site.Draw(Sampling::kShuffled, 1));
  EXPECT_NE(first, site.Draw(Sampling::kShuffled, 2));
  const auto in_order = site.Draw(Sampling::kInOrder);
  EXPECT_TRUE(std::ranges::is_sorted(in_order));
}

TEST(Sampling, ClassBalancedTakesAsManyOfEachClassThatThereIs) {
  const Site site;
  const auto order = site.Draw(Sampling::kClassBalanced);
  EXPECT_THAT(Count(At(site.labels, order)), ElementsAre(Pair(0, 20), Pair(1, 20), Pair(3, 20)));
  // The images of a class in turn: the 51 at most once, the 6 three or four times, the 3 six or
  // seven.
  const auto times = Count(order);
  for (const auto& [image, count] : times) {
    const int times_more = site.labels[image] == 0 ? 1 : site.labels[image] == 1 ? 3 : 6;
    EXPECT_THAT(count, ::testing::AnyOf(times_more, times_more + (times_more > 1 ? 1 : 0)));
  }
  // Mixed: no class comes last.
  const auto labels = At(site.labels, order);
  EXPECT_FALSE(std::ranges::is_sorted(labels));
}

TEST(Sampling, PatientBalancedTakesAsManyOfEachPatient) {
  const Site site;
  const auto counts = Count(At(site.patients, site.Draw(Sampling::kPatientBalanced)));
  EXPECT_EQ(counts.size(), 20U);
  EXPECT_THAT(counts, Each(Pair(::testing::_, 3)));
}

TEST(Sampling, WhatDoesNotDivideIsSharedOutEvenly) {
  const std::vector<std::int64_t> labels = {0, 0, 0, 0, 0, 0, 1, 2};
  const auto counts =
      Count(At(labels, DrawEpoch(Sampling::kClassBalanced, labels, labels, Random(1))));
  EXPECT_THAT(counts, Each(Pair(::testing::_, ::testing::AnyOf(2, 3))));
  EXPECT_TRUE(DrawEpoch(Sampling::kClassBalanced, {}, {}, Random(1)).empty());
}

}  // namespace
}  // namespace consilium
