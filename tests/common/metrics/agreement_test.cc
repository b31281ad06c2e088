#include "common/metrics/agreement.h"

#include <gmock/gmock.h>

#include <cmath>

#include "common/base/random.h"

namespace consilium {
namespace {

using ::testing::DoubleNear;
using ::testing::Optional;

MeasuredNumbers Numbers(std::vector<double> measured, std::vector<double> given) {
  MeasuredNumbers numbers{std::move(measured), std::move(given), {}};
  for (std::size_t i = 0; i < numbers.given.size(); ++i) {
    numbers.patients.push_back(static_cast<std::int64_t>(i));
  }
  return numbers;
}

TEST(Agreement, FiguresAreThoseOfTheDefinition) {
  const Agreement agreement = Agree(Numbers({1, 2, 3, 6}, {2, 2, 4, 8}));
  EXPECT_EQ(agreement.images, 4U);
  EXPECT_EQ(agreement.patients, 4U);
  // Sums about the means, 3 and 4: 18 of the products, 14 and 24 of the squares.
  EXPECT_THAT(agreement.correlation, Optional(DoubleNear(18 / std::sqrt(14.0 * 24), 1e-12)));
  EXPECT_THAT(agreement.mean_absolute_error, Optional(1.0));
  EXPECT_THAT(agreement.error_of_median, Optional((2 + 2 + 0 + 4) / 4.0));
}

TEST(Agreement, WhatDoesNotVaryHasNoCorrelation) {
  EXPECT_EQ(Agree(Numbers({1, 1}, {2, 3})).correlation, std::nullopt);
  EXPECT_EQ(Agree(Numbers(std::vector(3, 0.3), {2, 3, 4})).correlation, std::nullopt);
  const Agreement none = Agree(Numbers({}, {}));
  EXPECT_EQ(none.correlation, std::nullopt);
  EXPECT_EQ(none.mean_absolute_error, std::nullopt);
  EXPECT_EQ(none.error_of_median, std::nullopt);
}

TEST(Agreement, ImagesOfOnePatientDoNotMakeItSurer) {
  Random random(1);
  MeasuredNumbers numbers;
  for (int i = 0; i < 60; ++i) {
    numbers.given.push_back(random.Normal());
    numbers.measured.push_back(numbers.given.back() + random.Normal());
    numbers.patients.push_back(i);
  }
  const auto width = [](const Interval& interval) { return interval.high - interval.low; };
  const Agreement once = Agree(numbers);
  ASSERT_TRUE(once.correlation_ci && once.mean_absolute_error_ci);
  EXPECT_LT(once.correlation_ci->low, *once.correlation);
  EXPECT_GT(once.correlation_ci->high, *once.correlation);
  MeasuredNumbers twice = numbers;
  for (int i = 0; i < 60; ++i) {
    twice.given.push_back(numbers.given[static_cast<std::size_t>(i)]);
    twice.measured.push_back(numbers.measured[static_cast<std::size_t>(i)]);
    twice.patients.push_back(i);
  }
  const Agreement again = Agree(twice);
  EXPECT_EQ(again.patients, 60U);
  EXPECT_NEAR(width(*again.correlation_ci), width(*once.correlation_ci), 1e-9);
}

}  // namespace
}  // namespace consilium
