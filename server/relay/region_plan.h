#pragma once

// What a region's hospitals are asked to do, by a plan of a higher coordinator.

#include "common/base/status.h"
#include "consilium/v1/plan.pb.h"

namespace consilium {

// The same training, of all sites of this coordinator, and of the round a tenth less time, in which
// the models travel between the two. The strategy's part that is the higher coordinator's stays
// there: here updates are averaged. How many hospitals make a quorum is said as a fraction or not
// at all: a count is of the higher coordinator's own sites, and half of the region's do. A round is
// tried once, and later updates do not count: the higher coordinator asks again.
//
// INVALID_ARGUMENT for what cannot go through a region: SCAFFOLD, FedNova, median, trimmed mean and
// Krum, federated class counts, updates of the largest changes alone.
StatusOr<v1::RunPlan> RegionPlan(const v1::RunPlan& higher);

}  // namespace consilium
