#pragma once

#include <cstdint>
#include <vector>

#include "client/data/manifest.h"

namespace consilium {

// A number for each example that those of its patient share; one without a patient has its own.
std::vector<std::int64_t> NumberPatients(const Manifest& examples);

}  // namespace consilium
