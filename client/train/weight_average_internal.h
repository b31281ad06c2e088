#pragma once

// A mean of a network's weights over the steps of a training.

#include <cstdint>
#include <span>
#include <vector>

#include "client/nn/network_internal.h"

namespace consilium {

// The exponential moving average a' = d a + (1 - d) w after each step (Polyak and Juditsky's
// averaging with a memory, as Tarvainen and Valpola, NIPS 2017, section 2, use it), of the
// parameters and of batch norm's statistics. In its first steps t the decay is (1 + t) / (10 + t),
// so that little of the weights at the beginning stays in it. A decay of 0 keeps nothing.
class WeightAverage {
 public:
  // Outlived by the network.
  WeightAverage(const Network::Impl& network, double decay);

  // After the t-th step; 1 is the first.
  void Add(std::uint64_t t);
  // Puts the mean into the network, unless there is none.
  void PutInto(const Network::Impl& network) const;

  // Its numbers, one tensor after another; none where the decay is 0.
  std::vector<float> State() const;
  // INVALID_ARGUMENT unless there are as many numbers as State gives.
  Status Restore(std::span<const float> state);

 private:
  double decay_;
  std::vector<torch::Tensor> weights_;  // the network's own
  std::vector<torch::Tensor> means_;
  std::vector<std::size_t> which_;  // of the network's tensors they are
};

}  // namespace consilium
