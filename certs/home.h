#pragma once

// The folder in which a hospital or an admin keeps who it is: federation.yaml (the federation's
// name and where its coordinator answers), ca.crt, identity.crt, and identity.key with mode 0600.

#include <filesystem>
#include <string>

#include "certs/identity.h"
#include "common/base/status.h"

namespace consilium {

struct Home {
  std::string federation;
  std::string endpoint;  // HOST:PORT of the coordinator
  std::string ca_pem;
  std::string certificate_pem;
  std::string key_pem;  // secret
};

// Writes all files, the key first; ALREADY_EXISTS if the folder holds an identity.
Status WriteHome(const std::filesystem::path& folder, const Home& home);
// FAILED_PRECONDITION with what to do where the folder holds no identity, or the key does not fit.
StatusOr<Home> ReadHome(const std::filesystem::path& folder);
bool HasIdentity(const std::filesystem::path& folder);

}  // namespace consilium
