#pragma once

#include <filesystem>

#include "common/base/status.h"

namespace consilium {

// Makes what was written in `part` the file of that name, also after a power cut.
Status SyncAndRename(const std::filesystem::path& part, const std::filesystem::path& file);

}  // namespace consilium
