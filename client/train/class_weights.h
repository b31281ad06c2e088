#pragma once

// Weights for classes of unequal size, from a site's own counts.

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace consilium {

// One weight a class:
//   "none"       no weights: an empty list
//   "inverse"    n / (K n_c)
//   "effective"  (1 - b) / (1 - b^n_c) with b = 0.999: the inverse of the effective number of
//   samples
//                (Cui et al., CVPR 2019, equation 2)
// scaled so that the classes that are present have mean weight 1 over the examples. A class with no
// example weighs 0: it is in no batch. INVALID_ARGUMENT for another method.
StatusOr<std::vector<float>> ClassWeights(const std::string& method,
                                          const std::vector<std::uint64_t>& counts);

}  // namespace consilium
