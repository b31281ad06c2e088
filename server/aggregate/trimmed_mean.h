#pragma once

// Means that a few wrong updates cannot lead away, element by element (Yin et al., ICML 2018,
// definitions 1 and 2): of what the sites say of an element, the lowest and the highest are left
// out, and the rest count alike, whatever number of examples they come with.

#include <span>

#include "server/aggregate/weighted_mean.h"

namespace consilium {

// Writes into `out` the mean of the updates' elements [begin, begin + out.size()) without the
// `trim` lowest and the `trim` highest of each; in float64, rounded once. 2 * trim is below the
// number of updates: with (n - 1) / 2 it is the median. Values are finite. The same bits on every
// machine. Calls for different ranges may run at the same time.
void TrimmedMean(std::span<const WeightedUpdate> updates, std::size_t trim, std::size_t begin,
                 std::span<float> out);

}  // namespace consilium
