#include <algorithm>

#include "client/train/weight_average_internal.h"

namespace consilium {

WeightAverage::WeightAverage(const Network::Impl& network, double decay) : decay_(decay) {
  if (decay == 0) return;
  for (std::size_t i = 0; i < network.tensors.size(); ++i) {
    if (!network.tensors[i].is_floating_point()) continue;  // a counter
    which_.push_back(i);
    weights_.push_back(network.tensors[i].detach());
    means_.push_back(weights_.back().clone());
  }
}

void WeightAverage::Add(std::uint64_t t) {
  const torch::NoGradGuard no_grad;
  const auto steps = static_cast<double>(t);
  const double decay = std::min(decay_, (1 + steps) / (10 + steps));
  for (std::size_t i = 0; i < means_.size(); ++i) means_[i].lerp_(weights_[i], 1 - decay);
}

void WeightAverage::PutInto(const Network::Impl& network) const {
  const torch::NoGradGuard no_grad;
  for (std::size_t i = 0; i < means_.size(); ++i) {
    torch::Tensor tensor = network.tensors[which_[i]];
    tensor.copy_(means_[i]);
  }
}

std::vector<float> WeightAverage::State() const {
  std::vector<float> state;
  for (const torch::Tensor& mean : means_) {
    const torch::Tensor flat = mean.cpu().contiguous();
    state.insert(state.end(), flat.data_ptr<float>(), flat.data_ptr<float>() + flat.numel());
  }
  return state;
}

Status WeightAverage::Restore(std::span<const float> state) {
  std::size_t size = 0;
  for (const torch::Tensor& mean : means_) size += static_cast<std::size_t>(mean.numel());
  if (state.size() != size) {
    return InvalidArgument("a mean of {} weights, want {}", state.size(), size);
  }
  const torch::NoGradGuard no_grad;
  const float* next = state.data();
  for (torch::Tensor& mean : means_) {
    mean.copy_(torch::from_blob(const_cast<float*>(next), mean.sizes(), torch::kFloat32));
    next += mean.numel();
  }
  return OkStatus();
}

}  // namespace consilium
