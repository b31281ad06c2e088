#include "server/rpc/server_options.h"

#include <yaml-cpp/yaml.h>

#include "common/base/file.h"

namespace consilium {

bool HoldsFederation(const std::filesystem::path& folder) {
  return std::filesystem::exists(folder / kServerFile);
}

Status WriteServerOptions(const std::filesystem::path& folder, const ServerOptions& options) {
  return WriteFileAtomically(
      folder / kServerFile,
      fmt::format("federation: {}\nhost: {}\nport: {}\nenrol_port: {}\n", options.federation,
                  options.host, options.port, options.enrol_port));
}

StatusOr<ServerOptions> ReadServerOptions(const std::filesystem::path& folder) {
  const auto text = ReadFile(folder / kServerFile);
  if (!text.ok()) {
    return FailedPrecondition("{} holds no federation: run `consilium-server init` first",
                              folder.string());
  }
  return CatchAsStatus((folder / kServerFile).string(), [&] {
    const YAML::Node node = YAML::Load(*text);
    const std::filesystem::path higher = node["higher"].as<std::string>("");
    return ServerOptions{.federation = node["federation"].as<std::string>(),
                         .host = node["host"].as<std::string>(),
                         .port = node["port"].as<int>(),
                         .enrol_port = node["enrol_port"].as<int>(),
                         .higher = higher.empty() ? higher : folder / higher};
  });
}

}  // namespace consilium
