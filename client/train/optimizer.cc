#include <ATen/Parallel.h>

#include <cmath>

#include "client/train/optimizer_internal.h"

namespace consilium {
namespace {

constexpr float kBeta1 = 0.9F;
constexpr float kBeta2 = 0.999F;
constexpr float kEpsilon = 1e-8F;
constexpr std::int64_t kGrain = 1 << 14;  // elements below which another thread does not pay

// Whether a loop over raw memory visits the same element of both at once.
bool SameMemoryOrder(const torch::Tensor& a, const torch::Tensor& b) {
  return a.strides() == b.strides() && a.is_non_overlapping_and_dense();
}

}  // namespace

Optimizer::Optimizer(const TrainOptions& options, std::vector<torch::Tensor> parameters)
    : kind_(options.optimizer),
      momentum_(static_cast<float>(options.momentum)),
      weight_decay_(static_cast<float>(options.weight_decay)),
      parameters_(std::move(parameters)) {
  for (const torch::Tensor& parameter : parameters_) {
    first_.push_back(torch::zeros_like(parameter));
    if (kind_ == OptimizerKind::kAdamW) second_.push_back(torch::zeros_like(parameter));
  }
}

void Optimizer::Step(double learning_rate) {
  const torch::NoGradGuard no_grad;
  ++steps_;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    torch::Tensor gradient = parameters_[i].grad();
    if (!gradient.defined()) continue;
    parameters_[i].mutable_grad().reset();
    if (!SameMemoryOrder(parameters_[i], gradient)) {
      gradient = torch::empty_like(parameters_[i]).copy_(gradient);
    }
    if (kind_ == OptimizerKind::kSgd) {
      StepSgd(i, gradient, static_cast<float>(learning_rate));
    } else {
      StepAdamW(i, gradient, static_cast<float>(learning_rate));
    }
  }
}

std::vector<float> Optimizer::State() const {
  std::vector<float> state;
  for (const auto* moments : {&first_, &second_}) {
    for (const torch::Tensor& moment : *moments) {
      const torch::Tensor flat = moment.cpu().contiguous();
      state.insert(state.end(), flat.data_ptr<float>(), flat.data_ptr<float>() + flat.numel());
    }
  }
  return state;
}

Status Optimizer::Restore(std::span<const float> state, std::uint64_t steps) {
  std::size_t size = 0;
  for (const auto* moments : {&first_, &second_}) {
    for (const torch::Tensor& moment : *moments) size += static_cast<std::size_t>(moment.numel());
  }
  if (state.size() != size) {
    return InvalidArgument("an optimiser's state of {} numbers, want {}", state.size(), size);
  }
  const torch::NoGradGuard no_grad;
  const float* next = state.data();
  for (auto* moments : {&first_, &second_}) {
    for (torch::Tensor& moment : *moments) {
      moment.copy_(torch::from_blob(const_cast<float*>(next), moment.sizes(), torch::kFloat32));
      next += moment.numel();
    }
  }
  steps_ = static_cast<std::int64_t>(steps);
  return OkStatus();
}

void Optimizer::StepSgd(std::size_t i, torch::Tensor& gradient, float learning_rate) {
  torch::Tensor& parameter = parameters_[i];
  if (!parameter.is_cpu()) {
    gradient.add_(parameter, weight_decay_);
    first_[i].mul_(momentum_).add_(gradient);
    parameter.add_(first_[i], -learning_rate);
    return;
  }
  float* p = parameter.data_ptr<float>();
  float* v = first_[i].data_ptr<float>();
  const float* g = gradient.data_ptr<float>();
  const float momentum = momentum_;
  const float weight_decay = weight_decay_;
  at::parallel_for(0, parameter.numel(), kGrain, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t k = begin; k < end; ++k) {
      v[k] = momentum * v[k] + (g[k] + weight_decay * p[k]);
      p[k] -= learning_rate * v[k];
    }
  });
}

void Optimizer::StepAdamW(std::size_t i, torch::Tensor& gradient, float learning_rate) {
  torch::Tensor& parameter = parameters_[i];
  const auto step = static_cast<float>(steps_);
  const float correction1 = 1.0F - std::pow(kBeta1, step);
  const float root2 = std::sqrt(1.0F - std::pow(kBeta2, step));
  const float rate = learning_rate / correction1;
  const float decay = 1.0F - learning_rate * weight_decay_;
  if (!parameter.is_cpu()) {
    parameter.mul_(decay);
    first_[i].mul_(kBeta1).add_(gradient, 1.0F - kBeta1);
    second_[i].mul_(kBeta2).addcmul_(gradient, gradient, 1.0F - kBeta2);
    parameter.addcdiv_(first_[i], second_[i].sqrt().div_(root2).add_(kEpsilon), -rate);
    return;
  }
  float* p = parameter.data_ptr<float>();
  float* m = first_[i].data_ptr<float>();
  float* v = second_[i].data_ptr<float>();
  const float* g = gradient.data_ptr<float>();
  at::parallel_for(0, parameter.numel(), kGrain, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t k = begin; k < end; ++k) {
      m[k] = kBeta1 * m[k] + (1.0F - kBeta1) * g[k];
      v[k] = kBeta2 * v[k] + (1.0F - kBeta2) * g[k] * g[k];
      p[k] = p[k] * decay - rate * m[k] / (std::sqrt(v[k]) / root2 + kEpsilon);
    }
  });
}

}  // namespace consilium
