#pragma once

// Whom a round asks, and how many of them it needs. Pure.

#include <string>
#include <vector>

#include "common/base/status.h"
#include "server/state/run_state.h"

namespace consilium {

// The sites that a run's next round would ask: its plan's, or all, as far as they are active.
std::vector<std::string> Cohort(const RunConfig& config,
                                const std::vector<std::string>& active_sites);

// FAILED_PRECONDITION unless a run of that configuration can begin with these sites: its plan's are
// active, and as many as its quorum.
Status CheckSites(const RunConfig& config, const std::vector<std::string>& active_sites);

// Updates that a round of so many sites needs; at least 1.
int QuorumOf(const RunConfig& config, std::size_t sites);

}  // namespace consilium
