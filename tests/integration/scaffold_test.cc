// SCAFFOLD's two halves together: what hospitals shift their gradients by, and what the coordinator
// makes of their updates.

#include <gmock/gmock.h>

#include <cmath>

#include "client/train/control_variate.h"
#include "common/schedule/local_work.h"
#include "server/aggregate/control_variate.h"
#include "server/aggregate/weighted_mean.h"

namespace consilium {
namespace {

// f_k(x) = a_k / 2 (x - c_k)^2, with the weights p_k: the optimum of the whole is
// sum p a c / sum p a, and with ten local steps of gradient descent a round FedAvg ends elsewhere.
struct Problem {
  double a[2] = {1, 4};
  double c[2] = {-2, 4};
  double p[2] = {0.75, 0.25};

  double Optimum() const {
    return (p[0] * a[0] * c[0] + p[1] * a[1] * c[1]) / (p[0] * a[0] + p[1] * a[1]);
  }
};

constexpr double kRate = 0.05;
constexpr int kSteps = 10;

// Where the rounds end. `momentum` is the sites'.
double Solve(const Problem& problem, bool shifts, double momentum, int rounds) {
  const auto layout = *Layout::Create({{"x", {1}, TensorRole::kParameter}});
  ModelState global(layout);
  global.values = {10};
  std::vector<float> control = {0};
  std::vector<std::vector<float>> own(2);
  const double reach = kRate * LocalProgress(kSteps, momentum);
  for (int round = 0; round < rounds; ++round) {
    std::vector<ModelState> local(2, global);
    for (std::size_t k = 0; k < 2; ++k) {
      const std::vector<float> shift =
          shifts ? GradientShift(control, own[k]) : std::vector<float>{0};
      double x = global.values[0];
      double velocity = 0;
      for (int step = 0; step < kSteps; ++step) {
        velocity = momentum * velocity + problem.a[k] * (x - problem.c[k]) + shift[0];
        x -= kRate * velocity;
      }
      local[k].values = {static_cast<float>(x)};
      own[k] = NextControlVariate(global, local[k], control, own[k], reach).values;
    }
    std::vector<WeightedUpdate> updates;
    for (std::size_t k = 0; k < 2; ++k) {
      updates.push_back({local[k].values, {.weight = problem.p[k], .reach = reach}});
    }
    const std::vector<float> base = global.values;
    WeightedMean(*layout, base, updates, 0, global.values);
    StepControlVariate(base, updates, /*participation=*/1, 0, control);
  }
  return global.values[0];
}

TEST(Scaffold, FindsTheOptimumOfTheWholeWhereFedAvgDoesNot) {
  const Problem problem;
  EXPECT_GT(std::abs(Solve(problem, /*shifts=*/false, 0, 500) - problem.Optimum()), 0.2);
  EXPECT_NEAR(Solve(problem, /*shifts=*/true, 0, 500), problem.Optimum(), 1e-3);
  EXPECT_NEAR(Solve(problem, /*shifts=*/true, 0.5, 500), problem.Optimum(), 1e-3);
}

// c is the mean of what the hospitals hold (there, section 4), so long as all take part.
TEST(Scaffold, BothSidesAgreeOnTheMean) {
  const auto layout =
      *Layout::Create({{"x", {2}, TensorRole::kParameter}, {"m", {1}, TensorRole::kBuffer}});
  ModelState global(layout);
  std::vector<float> control = {0.5F, -1, 0};
  std::vector<ModelState> local(2, global);
  local[0].values = {1, 2, 3};
  local[1].values = {-3, 5, 4};
  const std::vector<std::vector<float>> own = {{1, -2, 0}, {0, 0, 0}};  // mean (0.5, -1)
  std::vector<std::vector<float>> next;
  std::vector<WeightedUpdate> updates;
  for (std::size_t k = 0; k < 2; ++k) {
    next.push_back(NextControlVariate(global, local[k], control, own[k], 0.25).values);
    updates.push_back({local[k].values, {.weight = 1, .reach = 0.25}});
    EXPECT_EQ(next[k][2], 0);  // no gradient goes to a statistic
  }
  StepControlVariate(global.values, updates, 1, 0, std::span(control).first(2));
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(control[i], (next[0][i] + next[1][i]) / 2, 1e-6);
  }
}

}  // namespace
}  // namespace consilium
