#include "client/infer/novelty.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

namespace consilium {
namespace {

using ::testing::ElementsAre;
using ::testing::Field;

TEST(KnownPictures, NearestAreTheNearestAndTheFirstOfEqualOnes) {
  const KnownPictures known(2, {1, 0, 0, 1, -1, 0, 0, 1});
  EXPECT_EQ(known.size(), 4U);
  const std::vector<float> picture = {0.6F, 0.8F};
  EXPECT_THAT(known.Nearest(picture, 3),
              ElementsAre(Field(&Neighbour::index, 1), Field(&Neighbour::index, 3),
                          Field(&Neighbour::index, 0)));
  EXPECT_NEAR(known.Nearest(picture, 1)[0].distance, std::sqrt(0.36 + 0.04), 1e-6);
  EXPECT_EQ(known.Nearest(picture, 9).size(), 4U);
}

TEST(KnownPictures, DistanceIsThatOfTheNearestUntilThereAreMany) {
  EXPECT_NEAR(KnownPictures(2, {1, 0, 0, 1}).Distance(std::vector<float>{0, 1}), 0, 1e-9);
  EXPECT_EQ(KnownPictures(2, {}).Distance(std::vector<float>{0, 1}), 2);
  // Of 16 the second nearest: one picture that is like no other does not make its like known.
  std::vector<float> features = {0, 1};
  for (int i = 0; i < 15; ++i) features.insert(features.end(), {1, 0});
  EXPECT_NEAR(KnownPictures(2, features).Distance(std::vector<float>{0, 1}), std::sqrt(2), 1e-6);
}

TEST(Energy, IsTheNegativeLogarithmOfTheSumOfExponentials) {
  EXPECT_NEAR(Energy(std::vector<float>{0, 0}), -std::log(2), 1e-9);
  EXPECT_NEAR(Energy(std::vector<float>{1, 2, 3}),
              -std::log(std::exp(1) + std::exp(2) + std::exp(3)), 1e-6);
  EXPECT_NEAR(Energy(std::vector<float>{1000, 999}), -1000 - std::log1p(std::exp(-1)), 1e-9);
}

TEST(Quantile, IsAValueThatTheShareIsNotAbove) {
  EXPECT_EQ(Quantile({3, 1, 2, 4}, 0.5), 2);
  EXPECT_EQ(Quantile({3, 1, 2, 4}, 0.51), 3);
  EXPECT_EQ(Quantile({3, 1, 2, 4}, 1), 4);
  EXPECT_EQ(Quantile({3, 1, 2, 4}, 0), 1);
  EXPECT_EQ(Quantile({}, 0.5), std::numeric_limits<double>::infinity());
}

}  // namespace
}  // namespace consilium
