#pragma once

// Optimisers over a list of parameters, one pass over memory a step on the CPU.

#include <torch/torch.h>

#include <span>
#include <vector>

#include "client/train/trainer.h"

namespace consilium {

// Steps as PyTorch's SGD (with momentum, weight decay added to the gradient) and AdamW do: same
// formulas, same state. Gradients are used up: undefined after Step.
class Optimizer {
 public:
  Optimizer(const TrainOptions& options, std::vector<torch::Tensor> parameters);
  void Step(double learning_rate);

  // The moments, one tensor after another in the parameters' order, and the number of steps.
  std::vector<float> State() const;
  // INVALID_ARGUMENT unless it has as many numbers as State gives.
  Status Restore(std::span<const float> state, std::uint64_t steps);

 private:
  void StepSgd(std::size_t i, torch::Tensor& gradient, float learning_rate);
  void StepAdamW(std::size_t i, torch::Tensor& gradient, float learning_rate);

  const OptimizerKind kind_;
  const float momentum_;
  const float weight_decay_;
  std::vector<torch::Tensor> parameters_;
  std::vector<torch::Tensor> first_;   // SGD: momentum; AdamW: mean of gradients
  std::vector<torch::Tensor> second_;  // AdamW: mean of squared gradients
  std::int64_t steps_ = 0;
};

}  // namespace consilium
