#pragma once

// The coordinator as a running server: its folder, its two ports, its worker.

#include <filesystem>
#include <memory>
#include <string>

#include "common/base/clock.h"
#include "common/base/status.h"

namespace consilium {

// What `init` decides once; server.yaml in the coordinator's folder.
struct ServerOptions {
  std::string federation;
  std::string host;  // how hospitals call the coordinator: a name or an address
  int port = 8443;
  int enrol_port = 8444;
};

// Makes a federation in an empty or new folder: CA, server certificate, database, and an admin's
// home in FOLDER/admin. ALREADY_EXISTS, with nothing changed, where the folder holds one;
// FAILED_PRECONDITION where it holds anything else.
Status InitServer(const std::filesystem::path& folder, const ServerOptions& options, TimePoint now);

StatusOr<ServerOptions> ReadServerOptions(const std::filesystem::path& folder);

// Serves from construction to destruction. Thread-safe.
class Server {
 public:
  // Empty addresses: all interfaces, at the ports of server.yaml. Port 0 takes a free one.
  struct Listen {
    std::string address;        // HOST:PORT of hospitals and admins
    std::string enrol_address;  // HOST:PORT of joining
  };
  static StatusOr<std::unique_ptr<Server>> Start(const std::filesystem::path& folder,
                                                 const Listen& listen);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  int port() const;
  int enrol_port() const;

 private:
  struct Parts;
  explicit Server(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace consilium
