#pragma once

// What a region's hospitals are asked to do, by a plan of a higher coordinator.

#include "common/base/status.h"
#include "consilium/v1/plan.pb.h"

namespace consilium {

// The same training, of all sites of this coordinator. The strategy's part that is the higher
// coordinator's stays there: here updates are averaged. How many hospitals make a quorum is said as
// a fraction or not at all: a count is of the higher coordinator's own sites, and half of the
// region's do. A round is tried once, and later updates do not count: the higher coordinator asks
// again.
//
// INVALID_ARGUMENT for what cannot go through a region: strategies that need each hospital's own
// update (SCAFFOLD, FedNova, median, trimmed mean, Krum), federated class counts, updates of the
// largest changes alone, a bound on the examples that one update weighs with.
StatusOr<v1::RunPlan> RegionPlan(const v1::RunPlan& higher);

}  // namespace consilium
