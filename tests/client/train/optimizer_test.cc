#include <gmock/gmock.h>
#include <torch/torch.h>

#include <cmath>

#include "client/train/optimizer_internal.h"

namespace consilium {
namespace {

// Against LibTorch's own optimisers, on tensors of the same values, several steps.
template <typename Reference>
void CompareWithReference(const TrainOptions& options, Reference&& make_reference) {
  torch::manual_seed(3);
  // One of them channels-last, whose gradient comes in another memory order.
  std::vector<torch::Tensor> mine = {
      torch::randn({7, 5}).requires_grad_(),
      torch::randn({4, 3, 3, 3}).contiguous(torch::MemoryFormat::ChannelsLast).requires_grad_()};
  std::vector<torch::Tensor> theirs;
  for (const auto& tensor : mine) theirs.push_back(tensor.detach().clone().requires_grad_());
  Optimizer optimizer(options, mine);
  auto reference = make_reference(theirs);
  for (int step = 0; step < 6; ++step) {
    for (std::size_t i = 0; i < mine.size(); ++i) {
      const torch::Tensor gradient = torch::randn(mine[i].sizes());
      mine[i].mutable_grad() = gradient.clone();
      theirs[i].mutable_grad() = gradient.clone();
    }
    optimizer.Step(torch::scalar_tensor(options.learning_rate));
    reference.step();
    for (std::size_t i = 0; i < mine.size(); ++i) {
      EXPECT_TRUE(torch::allclose(mine[i], theirs[i], 1e-5, 1e-7)) << "step " << step;
      EXPECT_FALSE(mine[i].grad().defined());
    }
  }
}

TEST(Optimizer, SgdStepsAsLibTorchDoes) {
  CompareWithReference({.optimizer = OptimizerKind::kSgd,
                        .learning_rate = 0.1,
                        .momentum = 0.9,
                        .weight_decay = 0.01},
                       [](const auto& parameters) {
                         return torch::optim::SGD(
                             parameters,
                             torch::optim::SGDOptions(0.1).momentum(0.9).weight_decay(0.01));
                       });
}

TEST(Optimizer, AdamWStepsAsLibTorchDoes) {
  CompareWithReference(
      {.optimizer = OptimizerKind::kAdamW, .learning_rate = 0.01, .weight_decay = 0.1},
      [](const auto& parameters) {
        return torch::optim::AdamW(parameters, torch::optim::AdamWOptions(0.01).weight_decay(0.1));
      });
}

// Two steps of algorithm 2, written out for one tensor; the second's direction by Adam's own terms.
TEST(Optimizer, LambStepsByTheWeightsOwnLength) {
  const double rate = 0.1;
  const double decay = 0.01;
  std::vector<double> w = {3, -4};
  std::vector<double> m = {0, 0};
  std::vector<double> v = {0, 0};
  const torch::Tensor parameter = torch::tensor({3.0F, -4.0F}).requires_grad_();
  Optimizer optimizer({.optimizer = OptimizerKind::kLamb, .weight_decay = decay}, {parameter});
  for (int step = 1; step <= 2; ++step) {
    const std::vector<double> g = {0.5 * step, 1.0 - step};
    parameter.mutable_grad() = torch::tensor({static_cast<float>(g[0]), static_cast<float>(g[1])});
    optimizer.Step(torch::scalar_tensor(rate));
    std::vector<double> r(2);
    for (std::size_t i = 0; i < 2; ++i) {
      m[i] = 0.9 * m[i] + 0.1 * g[i];
      v[i] = 0.999 * v[i] + 0.001 * g[i] * g[i];
      r[i] = m[i] / (1 - std::pow(0.9, step)) /
                 (std::sqrt(v[i] / (1 - std::pow(0.999, step))) + 1e-8) +
             decay * w[i];
    }
    const double ratio = std::hypot(w[0], w[1]) / std::hypot(r[0], r[1]);
    for (std::size_t i = 0; i < 2; ++i) w[i] -= rate * ratio * r[i];
    EXPECT_NEAR(parameter[0].item<float>(), w[0], 1e-4);
    EXPECT_NEAR(parameter[1].item<float>(), w[1], 1e-4);
  }
}

TEST(Optimizer, LambMovesWeightsThatAreZero) {
  const torch::Tensor parameter = torch::zeros({3}).requires_grad_();
  Optimizer optimizer({.optimizer = OptimizerKind::kLamb}, {parameter});
  parameter.mutable_grad() = torch::ones({3});
  optimizer.Step(torch::scalar_tensor(0.1));
  EXPECT_TRUE(torch::allclose(parameter, torch::full({3}, -0.1)));
}

}  // namespace
}  // namespace consilium
