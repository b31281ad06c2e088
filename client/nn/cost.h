#pragma once

// What a network costs, told from the network alone.

#include <cstdint>

#include "client/nn/network.h"
#include "common/base/status.h"

namespace consilium {

struct NetworkCost {
  std::uint64_t parameters = 0;  // trained numbers
  // Multiplications and additions of the convolutions and dense layers for one image, a
  // multiplication with its addition counted as two.
  std::uint64_t flops = 0;
};

// Runs one black image through it.
StatusOr<NetworkCost> CostOf(Network& network);

}  // namespace consilium
