#pragma once

// The coordinator's own key and certificate, and the issuing CA: read while it serves, so that both
// can be renewed without a restart.
//
// server.pem in the coordinator's folder holds the key (encrypted where there is a passphrase) and
// the certificate with its issuers, the root last, so that a hospital that joins can compare the
// root with the hash in its invitation. gRPC reads keys from files; it is given a file in memory
// with the key not encrypted, which the same user's processes alone can open.

#include <filesystem>
#include <memory>
#include <string>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "server/registry/registry.h"
#include "server/rpc/server_options.h"

namespace consilium {

// Makes another key and certificate for the coordinator.
Status RenewServerIdentity(const std::filesystem::path& folder, const ServerOptions& options,
                           const Authority& authority, TimePoint now);

// Not thread-safe. Outlived by its registry.
class ServerIdentity {
 public:
  // Makes the identity where there is none yet.
  static StatusOr<std::unique_ptr<ServerIdentity>> Open(const std::filesystem::path& folder,
                                                        const ServerOptions& options,
                                                        Registry& registry, TimePoint now);

  // Takes over what another process has changed in the folder, and renews the certificate when a
  // third of its time is left.
  Status Refresh(TimePoint now);

  // For MutualTlsServer.
  std::string identity_file() const;
  std::string ca_file() const { return (folder_ / kAuthorityFolder / "ca.crt").string(); }

 private:
  ServerIdentity(std::filesystem::path folder, ServerOptions options, Registry& registry,
                 FileDescriptor memory)
      : folder_(std::move(folder)),
        options_(std::move(options)),
        registry_(registry),
        memory_(std::move(memory)) {}

  Status Load();

  const std::filesystem::path folder_;
  const ServerOptions options_;
  Registry& registry_;
  const FileDescriptor memory_;
  TimePoint renew_at_;
  std::filesystem::file_time_type loaded_;  // the times of the files when they were read
  std::filesystem::file_time_type issuing_;
};

}  // namespace consilium
