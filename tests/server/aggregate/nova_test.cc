#include "server/aggregate/nova.h"

#include <gmock/gmock.h>

#include "server/aggregate/weighted_mean.h"
#include "tests/testing/small_model.h"

namespace consilium {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;

TEST(Nova, SitesThatStepAsOftenAreAveragedAsEver) {
  EXPECT_THAT(NovaStretches({3, 1}, {8, 8}), ElementsAre(1, 1));
  EXPECT_THAT(NovaStretches({1, 1}, {10, 2}),
              ElementsAre(DoubleNear(0.6, 1e-12), DoubleNear(3, 1e-12)));
}

// f_k(x) = (x - c_k)^2 / 2, one site with ten times the steps: FedAvg ends far from the optimum of
// the weighted objective, FedNova at it (there, section 3, and theorem 1).
TEST(Nova, DoesNotLeanTowardsWhoStepsMore) {
  constexpr double kC[] = {0, 1};
  constexpr std::uint64_t kSteps[] = {20, 2};
  const std::vector<double> weights = {0.5, 0.5};
  const auto layout = *Layout::Create({{"x", {1}, TensorRole::kParameter}});
  const auto solve = [&](const std::vector<double>& stretches) {
    std::vector<float> model = {5};
    for (int round = 0; round < 3000; ++round) {
      std::vector<std::vector<float>> local;
      for (int k = 0; k < 2; ++k) {
        double x = model[0];
        for (std::uint64_t step = 0; step < kSteps[k]; ++step) x -= 0.005 * (x - kC[k]);
        local.push_back({static_cast<float>(x)});
      }
      std::vector<WeightedUpdate> updates;
      for (std::size_t k = 0; k < 2; ++k) {
        updates.push_back({local[k], {weights[k], stretches[k]}});
      }
      const std::vector<float> base = model;
      WeightedMean(*layout, base, updates, 0, model);
    }
    return model[0];
  };
  EXPECT_LT(solve({1, 1}), 0.15);
  EXPECT_NEAR(solve(NovaStretches(weights, {20, 2})), 0.5, 0.03);
}

}  // namespace
}  // namespace consilium
