#include "common/rpc/protocol.h"

#include <charconv>

namespace consilium {

std::string ProtocolVersion() { return fmt::format("{}.{}", kProtocolMajor, kProtocolMinor); }

std::string_view SoftwareVersion() { return CONSILIUM_VERSION; }

Status CheckCallerProtocol(std::string_view version, std::string_view software) {
  if (version.empty()) return OkStatus();
  int major = 0;
  std::from_chars(version.data(), version.data() + version.size(), major);
  if (major == kProtocolMajor) return OkStatus();
  return FailedPrecondition(
      "this coordinator (consilium {}) speaks protocol {}, the caller (consilium {}) {}: install "
      "{} "
      "of the same first number",
      SoftwareVersion(), ProtocolVersion(), software, version,
      major > kProtocolMajor ? "a coordinator" : "a client");
}

}  // namespace consilium
