#pragma once

// How a round's updates count, from what their sites did.

#include <cstdint>
#include <vector>

#include "server/aggregate/weighted_mean.h"
#include "server/state/run_state.h"

namespace consilium {

struct LocalEffort {
  std::uint64_t examples = 0;  // that the site trained on
  std::uint64_t steps = 0;
};

// In the order of the efforts. Steps are above 0 where the run's strategy goes by them.
std::vector<UpdateTerms> TermsOf(const RunConfig& config, int round,
                                 const std::vector<LocalEffort>& efforts);

}  // namespace consilium
