#pragma once

#include <filesystem>

#include "common/base/clock.h"
#include "server/rpc/server_options.h"

namespace consilium {

// Makes a federation in an empty or new folder: CA, server certificate, database, and an admin's
// home in FOLDER/admin. ALREADY_EXISTS, with nothing changed, where the folder holds one;
// FAILED_PRECONDITION where it holds anything else.
Status InitServer(const std::filesystem::path& folder, const ServerOptions& options, TimePoint now);

// Another certificate for the coordinator, and, where `root_folder` is not empty, another issuing
// CA before, signed by the root's key in that folder. A coordinator that serves the folder takes
// both over within seconds, without a restart.
Status RenewServer(const std::filesystem::path& folder, const std::filesystem::path& root_folder,
                   TimePoint now);

// Another key and certificate for the admin in FOLDER/admin. The coordinator
// lets it in when it next starts.
Status RenewAdmin(const std::filesystem::path& folder, TimePoint now);

}  // namespace consilium
