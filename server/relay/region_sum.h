#pragma once

// What a region's hospitals did in a round, as one hospital would say it. Pure.

#include "common/base/status.h"
#include "consilium/v1/coordinator.pb.h"
#include "server/state/run_state.h"

namespace consilium {

// Of the hospitals that delivered in the run's current round: training examples and steps summed,
// the loss as their mean by examples, the longest time, and the sum of their evaluations, which is
// left out where no coordinator would take it. FAILED_PRECONDITION where fewer than two delivered:
// the sum would be a single hospital's own.
StatusOr<v1::TaskResult> SumOf(const RunState& run);

}  // namespace consilium
