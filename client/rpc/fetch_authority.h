#pragma once

#include <string>

#include "common/base/status.h"

namespace consilium {

// The CA certificate that a TLS 1.3 server at HOST:PORT sends behind its own, if its SHA-256 is the
// one given; PERMISSION_DENIED if not. Nothing is sent to the server before or after: the caller
// then makes a new connection with this CA as its root.
StatusOr<std::string> FetchAuthority(const std::string& address, const std::string& ca_sha256);

}  // namespace consilium
