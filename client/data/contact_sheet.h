#pragma once

#include <filesystem>
#include <string>

#include "client/data/manifest.h"
#include "common/base/status.h"

namespace consilium {

// The bytes of a PNG with up to `columns` x `rows` pictures as a network would see their crop, each
// with its label, spread evenly over the manifest. Unreadable ones are left out.
StatusOr<std::string> EncodeContactSheet(const Manifest& manifest, int columns, int rows);

// Writes it.
Status WriteContactSheet(const Manifest& manifest, int columns, int rows,
                         const std::filesystem::path& path);

}  // namespace consilium
