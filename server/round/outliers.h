#pragma once

#include "server/state/run_state.h"

namespace consilium {

// Takes updates of the current round back that are far larger than the cohort's: by the plan's
// ratio to the median of their norms, where at least three have come. Pure.
void RefuseOutliers(RunState& run);

}  // namespace consilium
