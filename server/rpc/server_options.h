#pragma once

// What `init` decides once, and the files of a coordinator's folder.

#include <filesystem>
#include <string>

#include "common/base/status.h"

namespace consilium {

inline constexpr char kServerFile[] = "server.yaml";
inline constexpr char kAuthorityFolder[] = "ca";
inline constexpr char kAdminFolder[] = "admin";

// In server.yaml.
struct ServerOptions {
  std::string federation;
  std::string host;  // how hospitals call the coordinator: a name or an address
  int port = 8443;
  int enrol_port = 8444;
  // The folder of a hospital of a higher coordinator, which this federation is to it; empty: none.
  std::filesystem::path higher;
};

bool HoldsFederation(const std::filesystem::path& folder);
Status WriteServerOptions(const std::filesystem::path& folder, const ServerOptions& options);
// FAILED_PRECONDITION where the folder holds no federation.
StatusOr<ServerOptions> ReadServerOptions(const std::filesystem::path& folder);

}  // namespace consilium
