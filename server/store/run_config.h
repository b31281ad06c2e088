#pragma once

#include <string>

#include "common/base/status.h"
#include "server/state/run_state.h"

namespace consilium {

// What the coordinator needs of a serialised v1::RunPlan that CheckPlan has passed.
StatusOr<RunConfig> ParseRunConfig(const std::string& plan);

}  // namespace consilium
