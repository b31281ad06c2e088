#include "server/aggregate/server_optimizer.h"

#include <gmock/gmock.h>

#include <cmath>
#include <vector>

#include "common/base/file.h"
#include "common/base/random.h"
#include "server/aggregate/round_average.h"
#include "server/aggregate/weighted_mean.h"
#include "tests/testing/small_model.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using testing::IsOk;
using testing::StatusIs;
using Kind = ServerOptimizerKind;

constexpr Kind kAdaptive[] = {Kind::kAdagrad, Kind::kAdam, Kind::kYogi};

ServerOptimizer Optimizer(Kind kind, double rate) {
  return {.kind = kind, .learning_rate = rate, .beta1 = 0.9, .beta2 = 0.99, .tau = 1e-3};
}

std::vector<float> Begin(const ServerOptimizer& optimizer, std::size_t elements) {
  std::vector<float> moments(elements * MomentsPerElement(optimizer.kind));
  BeginMoments(optimizer, moments);
  return moments;
}

// One element, straight from the equations, in float64 all along.
struct Oracle {
  double x = 0;
  double m = 0;
  double v = 1e-6;

  void Step(Kind kind, double change) {
    const double square = change * change;
    if (kind == Kind::kMomentum) {
      m = 0.9 * m + change;
      x += 0.1 * m;
      return;
    }
    m = 0.9 * m + 0.1 * change;
    if (kind == Kind::kAdagrad) v += square;
    if (kind == Kind::kAdam) v = 0.99 * v + 0.01 * square;
    if (kind == Kind::kYogi) v -= 0.01 * square * (v > square ? 1.0 : v < square ? -1.0 : 0.0);
    x += 0.1 * m / (std::sqrt(v) + 1e-3);
  }
};

TEST(ServerOptimizer, StepsAsItsEquationsSay) {
  for (const Kind kind : {Kind::kMomentum, Kind::kAdagrad, Kind::kAdam, Kind::kYogi}) {
    Random random(5);
    const ServerOptimizer optimizer = Optimizer(kind, 0.1);
    std::vector<float> model(7);
    std::vector<float> moments = Begin(optimizer, 7);
    std::vector<Oracle> oracles(7);
    for (int round = 0; round < 20; ++round) {
      const std::vector<float> base = model;
      for (std::size_t i = 0; i < model.size(); ++i) {
        const auto change = static_cast<float>(0.05 * random.Normal());
        model[i] = base[i] + change;
        oracles[i].Step(kind, static_cast<double>(model[i]) - base[i]);
      }
      StepServer(optimizer, base, moments, model);
      for (std::size_t i = 0; i < model.size(); ++i) {
        EXPECT_NEAR(model[i], oracles[i].x, 2e-5) << static_cast<int>(kind) << " " << round;
      }
    }
  }
}

// Two sites, f_k(x) = a_k / 2 (x - c_k)^2, weights p_k, one local step of gradient descent a round:
// the optimum of the whole is sum p a c / sum p a.
TEST(ServerOptimizer, FindsTheOptimumOfAConvexProblem) {
  constexpr double kA[] = {1, 3};
  constexpr double kC[] = {-2, 4};
  constexpr double kP[] = {0.75, 0.25};
  const double optimum =
      (kP[0] * kA[0] * kC[0] + kP[1] * kA[1] * kC[1]) / (kP[0] * kA[0] + kP[1] * kA[1]);
  const auto solve = [&](const ServerOptimizer& optimizer, int rounds) {
    std::vector<float> model = {10};
    std::vector<float> moments = Begin(optimizer, 1);
    for (int round = 0; round < rounds; ++round) {
      const std::vector<float> base = model;
      double mean = 0;
      for (int k = 0; k < 2; ++k) mean += kP[k] * (base[0] - 0.1 * kA[k] * (base[0] - kC[k]));
      model[0] = static_cast<float>(mean);
      StepServer(optimizer, base, moments, model);
    }
    return model[0];
  };
  EXPECT_NEAR(solve({}, 200), optimum, 1e-4);
  EXPECT_NEAR(solve(Optimizer(Kind::kMomentum, 1), 400), optimum, 1e-4);
  for (const Kind kind : kAdaptive) {
    // Adagrad's steps shrink with the root of the rounds: it begins with larger ones.
    const double rate = kind == Kind::kAdagrad ? 1 : 0.02;
    EXPECT_NEAR(solve(Optimizer(kind, rate), 4000), optimum, 0.02) << static_cast<int>(kind);
  }
}

// Rounds on disk: a parameter of more than a stride, and tensors that no optimiser touches.
class OptimizedRoundsTest : public ::testing::Test {
 protected:
  std::string Put(const ModelState& state) {
    auto writer = *blobs_.Create();
    const std::string bytes = testing::EncodeFile({.spec = testing::SmallSpec()}, state);
    EXPECT_THAT(writer.Append(AsBytes(bytes)), IsOk());
    return *std::move(writer).Finish();
  }
  std::vector<float> ValuesOf(const std::string& digest) {
    const auto file = *blobs_.Map(digest);
    const ModelHeader header = *ParseModelHeader(file->bytes());
    const auto values = ModelValues(header, file->bytes());
    return {values.begin(), values.end()};
  }

  std::shared_ptr<const Layout> layout_ =
      *Layout::Create({{"mean", {503}, TensorRole::kBuffer},
                       {"w", {1'300'011}, TensorRole::kParameter},
                       {"n", {}, TensorRole::kCounter}});
  testing::TempFolder folder_;
  BlobStore blobs_ = *BlobStore::Open(folder_.path());
};

TEST_F(OptimizedRoundsTest, CarryTheMomentsFromRoundToRound) {
  const ModelState start = testing::RandomState(layout_, 1);
  for (const Kind kind : {Kind::kMomentum, Kind::kAdam}) {
    const ServerOptimizer optimizer = Optimizer(kind, 0.5);
    RoundToAverage todo{.run = "r", .base_digest = Put(start), .optimizer = optimizer};
    std::vector<float> model = start.values;
    std::vector<float> moments = Begin(optimizer, layout_->size());
    const std::size_t per_element = MomentsPerElement(kind);
    for (int round = 1; round <= 3; ++round) {
      todo.round = round;
      const ModelState a = testing::RandomState(layout_, 10 + static_cast<std::uint64_t>(round));
      const ModelState b = testing::RandomState(layout_, 20 + static_cast<std::uint64_t>(round));
      const std::vector<Contribution> contributions = {{Put(a), {3}}, {Put(b), {1}}};
      ASSERT_OK_AND_ASSIGN(const AveragedModel made, AverageRound(blobs_, todo, contributions));
      // Made again, as after a crash: the same bits.
      ASSERT_OK_AND_ASSIGN(const AveragedModel again, AverageRound(blobs_, todo, contributions));
      EXPECT_EQ(again.digest, made.digest);
      EXPECT_EQ(again.moments_digest, made.moments_digest);

      const std::vector<float> before = model;
      const std::vector<WeightedUpdate> updates = {{a.values, {3}}, {b.values, {1}}};
      WeightedMean(*layout_, before, updates, 0, model);
      const std::size_t first = layout_->offset(1);
      const std::size_t count = layout_->tensors()[1].NumElements();
      StepServer(optimizer, std::span(before).subspan(first, count),
                 std::span(moments).subspan(first * per_element, count * per_element),
                 std::span(model).subspan(first, count));
      ASSERT_EQ(ValuesOf(made.digest), model) << round;
      todo.base_digest = made.digest;
      todo.moments_digest = made.moments_digest;
    }
    const std::string moments_digest = std::exchange(todo.moments_digest, todo.base_digest);
    EXPECT_THAT(AverageRound(blobs_, todo, {{Put(start), {1}}}),
                StatusIs(absl::StatusCode::kDataLoss));
    todo.moments_digest = moments_digest;
    std::filesystem::remove(folder_ / ("blobs/" + moments_digest));
    EXPECT_THAT(AverageRound(blobs_, todo, {{Put(start), {1}}}),
                StatusIs(absl::StatusCode::kNotFound));
  }
}

TEST_F(OptimizedRoundsTest, StepOutOfTheFiniteNumbersIsAnError) {
  ModelState start = testing::RandomState(layout_, 1);
  const RoundToAverage todo{.run = "r",
                            .round = 1,
                            .base_digest = Put(start),
                            .optimizer = Optimizer(Kind::kMomentum, 1000)};
  for (float& value : start.values) value = 3e38F;
  EXPECT_THAT(AverageRound(blobs_, todo, {{Put(start), {1}}}),
              StatusIs(testing::kInvalid, ::testing::HasSubstr("server_learning_rate")));
}

}  // namespace
}  // namespace consilium
