#pragma once

// The coordinator as a running server: its folder, its two ports, its worker.

#include <filesystem>
#include <memory>
#include <string>

#include "common/base/status.h"
#include "server/rpc/server_options.h"

namespace consilium {

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
