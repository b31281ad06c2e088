#pragma once

// Optimisers over a list of parameters, one pass over memory a step.

#include <torch/torch.h>

#include <span>
#include <vector>

#include "client/train/trainer.h"

namespace consilium {

// Steps as PyTorch's SGD (with momentum, weight decay added to the gradient) and AdamW do: same
// formulas, same state. LAMB is You et al., ICLR 2020, algorithm 2: Adam's direction and the
// decayed weights, scaled for each tensor by the norm of its weights over the direction's.
// Gradients are used up: undefined after Step.
class Optimizer {
 public:
  // `rates`: of each parameter, a factor on the learning rate; empty: all 1.
  Optimizer(const TrainOptions& options, std::vector<torch::Tensor> parameters,
            std::vector<float> rates = {});
  // At a learning rate in float32, where the parameters are. On a GPU nothing in it waits.
  void Step(const torch::Tensor& learning_rate);

  // For steps that are recorded and replayed: one was taken; or what was taken before a recording.
  void CountStep() { ++steps_; }
  std::int64_t steps() const { return steps_; }
  void SetSteps(std::int64_t steps) { steps_ = steps; }

  // The moments, one tensor after another in the parameters' order, and the number of steps.
  std::vector<float> State() const;
  // INVALID_ARGUMENT unless it has as many numbers as State gives.
  Status Restore(std::span<const float> state, std::uint64_t steps);

 private:
  std::vector<torch::Tensor> Moments() const;
  // On the CPU, a parameter.
  void StepSgd(std::size_t i, const torch::Tensor& gradient, float learning_rate);
  void StepAdamW(std::size_t i, const torch::Tensor& gradient, float learning_rate);
  // On either.
  void StepLamb(std::size_t i, const torch::Tensor& gradient, const torch::Tensor& learning_rate);
  // On a GPU, all that have a gradient: those of one rate at a time.
  void StepOnGpu(const std::vector<std::size_t>& which, std::vector<torch::Tensor>& gradients,
                 const torch::Tensor& learning_rate);
  void StepGroupOnGpu(const std::vector<std::size_t>& which, std::vector<torch::Tensor>& gradients,
                      const torch::Tensor& learning_rate);

  const OptimizerKind kind_;
  const float momentum_;
  const float weight_decay_;
  std::vector<torch::Tensor> parameters_;
  const std::vector<float> rates_;
  std::vector<torch::Tensor> first_;   // SGD: momentum; AdamW, LAMB: mean of gradients
  std::vector<torch::Tensor> second_;  // AdamW, LAMB: mean of squared gradients
  std::int64_t steps_ = 0;
  torch::Tensor steps_tensor_;  // the same, where a step that is replayed can count it
};

}  // namespace consilium
