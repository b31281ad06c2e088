#pragma once

// The agent: a hospital's process that waits for rounds, trains and uploads, until it is stopped.

#include <filesystem>
#include <stop_token>

#include "common/base/status.h"

namespace consilium {

// Runs on the hospital's folder (see certs/home.h; site.yaml beside it) until `stop`. While the
// coordinator is away it tries again, with growing pauses, without limit. A task that this hospital
// cannot do is reported as failed, one that site.yaml forbids as refused, and the next one is
// awaited. Ends with an error where going on makes no sense: no identity, a wrong site.yaml,
// another agent in the folder, a revoked or refused certificate.
Status RunAgent(const std::filesystem::path& folder, const std::stop_token& stop);

}  // namespace consilium
