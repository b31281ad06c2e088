#pragma once

// Krum: of a round's updates the one that has the nearest neighbours (Blanchard et al., NeurIPS
// 2017, section 4), so that no wrong update counts at all, and no mean of wrong and right ones.

#include <cstddef>
#include <span>

#include "common/model/layout.h"
#include "server/aggregate/weighted_mean.h"

namespace consilium {

inline constexpr std::size_t kLeastForKrum = 3;

// The place of that update among n >= kLeastForKrum, whose values are in the layout's order: the
// least sum of squared distances, over the parameters, to its n - f - 2 nearest, where f = (n - 3)
// / 2 may be wrong. The first of several. Distances are measured on all cores; the same bits on
// every machine.
std::size_t KrumChoice(const Layout& layout, std::span<const WeightedUpdate> updates);

}  // namespace consilium
