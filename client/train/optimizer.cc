#include <ATen/Parallel.h>
#include <torch/version.h>

#include <cmath>
#include <map>

#include "client/train/numbers_internal.h"
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

Optimizer::Optimizer(const TrainOptions& options, std::vector<torch::Tensor> parameters,
                     std::vector<float> rates)
    : kind_(options.optimizer),
      momentum_(static_cast<float>(options.momentum)),
      weight_decay_(static_cast<float>(options.weight_decay)),
      parameters_(std::move(parameters)),
      rates_(rates.empty() ? std::vector<float>(parameters_.size(), 1) : std::move(rates)) {
  for (const torch::Tensor& parameter : parameters_) {
    first_.push_back(torch::zeros_like(parameter));
    if (kind_ != OptimizerKind::kSgd) second_.push_back(torch::zeros_like(parameter));
  }
  if (!parameters_.empty()) {
    steps_tensor_ =
        torch::zeros({}, torch::TensorOptions(parameters_[0].device()).dtype(torch::kFloat32));
  }
}

void Optimizer::Step(const torch::Tensor& learning_rate) {
  const torch::NoGradGuard no_grad;
  ++steps_;
  std::vector<std::size_t> which;
  std::vector<torch::Tensor> gradients;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    torch::Tensor gradient = parameters_[i].grad();
    if (!gradient.defined()) continue;
    parameters_[i].mutable_grad().reset();
    if (!SameMemoryOrder(parameters_[i], gradient)) {
      gradient = torch::empty_like(parameters_[i]).copy_(gradient);
    }
    which.push_back(i);
    gradients.push_back(std::move(gradient));
  }
  if (kind_ == OptimizerKind::kLamb) {
    steps_tensor_.add_(1);
    for (std::size_t n = 0; n < which.size(); ++n) {
      StepLamb(which[n], gradients[n], learning_rate * rates_[which[n]]);
    }
    return;
  }
  if (!parameters_.empty() && !parameters_[0].is_cpu()) {
    StepOnGpu(which, gradients, learning_rate);
    return;
  }
  const auto rate = learning_rate.item<float>();
  for (std::size_t n = 0; n < which.size(); ++n) {
    if (kind_ == OptimizerKind::kSgd) {
      StepSgd(which[n], gradients[n], rate * rates_[which[n]]);
    } else {
      StepAdamW(which[n], gradients[n], rate * rates_[which[n]]);
    }
    gradients[n].reset();
  }
}

std::vector<torch::Tensor> Optimizer::Moments() const {
  std::vector<torch::Tensor> moments = first_;
  moments.insert(moments.end(), second_.begin(), second_.end());
  return moments;
}

std::vector<float> Optimizer::State() const { return NumbersOf(Moments()); }

Status Optimizer::Restore(std::span<const float> state, std::uint64_t steps) {
  std::vector<torch::Tensor> moments = Moments();  // the same memory
  CSL_RETURN_IF_ERROR(PutNumbers(state, "an optimiser's state", moments));
  steps_ = static_cast<std::int64_t>(steps);
  if (steps_tensor_.defined()) steps_tensor_.fill_(static_cast<double>(steps));
  return OkStatus();
}

void Optimizer::StepSgd(std::size_t i, const torch::Tensor& gradient, float learning_rate) {
  torch::Tensor& parameter = parameters_[i];
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

void Optimizer::StepAdamW(std::size_t i, const torch::Tensor& gradient, float learning_rate) {
  torch::Tensor& parameter = parameters_[i];
  const auto step = static_cast<float>(steps_);
  const float correction1 = 1.0F - std::pow(kBeta1, step);
  const float root2 = std::sqrt(1.0F - std::pow(kBeta2, step));
  const float rate = learning_rate / correction1;
  const float decay = 1.0F - learning_rate * weight_decay_;
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

void Optimizer::StepLamb(std::size_t i, const torch::Tensor& gradient,
                         const torch::Tensor& learning_rate) {
  torch::Tensor& parameter = parameters_[i];
  first_[i].mul_(kBeta1).add_(gradient, 1.0F - kBeta1);
  second_[i].mul_(kBeta2).addcmul_(gradient, gradient, 1.0F - kBeta2);
  const torch::Tensor mean = first_[i] / (1 - torch::pow(kBeta1, steps_tensor_));
  const torch::Tensor square = second_[i] / (1 - torch::pow(kBeta2, steps_tensor_));
  const torch::Tensor direction = mean / (square.sqrt() + kEpsilon) + weight_decay_ * parameter;
  const torch::Tensor weights = parameter.norm();
  const torch::Tensor length = direction.norm();
  const torch::Tensor ratio = torch::where((weights > 0).logical_and(length > 0), weights / length,
                                           torch::ones_like(length));
  parameter.sub_(direction * (learning_rate * ratio));
}

void Optimizer::StepOnGpu(const std::vector<std::size_t>& which,
                          std::vector<torch::Tensor>& gradients,
                          const torch::Tensor& learning_rate) {
  steps_tensor_.add_(1);
  std::map<float, std::pair<std::vector<std::size_t>, std::vector<torch::Tensor>>> groups;
  for (std::size_t n = 0; n < which.size(); ++n) {
    auto& [members, their_gradients] = groups[rates_[which[n]]];
    members.push_back(which[n]);
    their_gradients.push_back(gradients[n]);
  }
  for (auto& [rate, group] : groups) {
    StepGroupOnGpu(group.first, group.second, rate == 1 ? learning_rate : learning_rate * rate);
  }
}

void Optimizer::StepGroupOnGpu(const std::vector<std::size_t>& which,
                               std::vector<torch::Tensor>& gradients,
                               const torch::Tensor& learning_rate) {
  const auto of = [&](const std::vector<torch::Tensor>& all) {
    std::vector<torch::Tensor> chosen;
    for (const std::size_t i : which) chosen.push_back(all[i]);
    return chosen;
  };
  std::vector<torch::Tensor> parameters = of(parameters_);
  std::vector<torch::Tensor> first = of(first_);
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
  // One kernel over all of them.
  if (kind_ == OptimizerKind::kSgd) {
    if (momentum_ == 0) first.clear();  // the kernel wants no momenta then
    at::_fused_sgd_(parameters, gradients, first, weight_decay_, momentum_, learning_rate,
                    /*dampening=*/0, /*nesterov=*/false, /*maximize=*/false,
                    /*is_first_step=*/false);
    return;
  }
  std::vector<torch::Tensor> second = of(second_);
  const std::vector<torch::Tensor> steps(which.size(), steps_tensor_);
  at::_fused_adamw_(parameters, gradients, first, second, /*max_exp_avg_sqs=*/{}, steps,
                    learning_rate, kBeta1, kBeta2, weight_decay_, kEpsilon, /*amsgrad=*/false,
                    /*maximize=*/false);
#else
  for (std::size_t n = 0; n < which.size(); ++n) {
    torch::Tensor& parameter = parameters[n];
    torch::Tensor& gradient = gradients[n];
    if (kind_ == OptimizerKind::kSgd) {
      gradient.add_(parameter, weight_decay_);
      first[n].mul_(momentum_).add_(gradient);
      parameter.sub_(first[n] * learning_rate);
      continue;
    }
    torch::Tensor& second = second_[which[n]];
    parameter.mul_(1 - learning_rate * weight_decay_);
    first[n].mul_(kBeta1).add_(gradient, 1.0F - kBeta1);
    second.mul_(kBeta2).addcmul_(gradient, gradient, 1.0F - kBeta2);
    const torch::Tensor mean = first[n] / (1 - torch::pow(kBeta1, steps_tensor_));
    const torch::Tensor square = second / (1 - torch::pow(kBeta2, steps_tensor_));
    parameter.sub_(learning_rate * mean / (square.sqrt() + kEpsilon));
  }
#endif
}

}  // namespace consilium
