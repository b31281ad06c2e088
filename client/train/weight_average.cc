#include <algorithm>

#include "client/train/numbers_internal.h"
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

std::vector<float> WeightAverage::State() const { return NumbersOf(means_); }

Status WeightAverage::Restore(std::span<const float> state) {
  return PutNumbers(state, "a mean of the weights", means_);
}

}  // namespace consilium
