#pragma once

// Weights for classes of unequal size, from a site's own counts or from all sites'.

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

// What a hospital tells of its counts, and what is made of everybody's: numbers below five, which
// could be of single patients, are told as 0, and so is the next larger one where there is one such
// alone.
std::vector<std::uint64_t> CountsToTell(std::vector<std::uint64_t> counts);
// The sums of what was told, or the hospital's own counts where these are larger.
std::vector<std::uint64_t> CountsToWeighBy(const std::vector<std::uint64_t>& own,
                                           const std::vector<std::uint64_t>& told);

}  // namespace consilium
