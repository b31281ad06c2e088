#pragma once

#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/crypto/certificate.h"

namespace consilium {

// The certificates that a TLS 1.3 server at HOST:PORT shows, its own first. They are believed in
// nothing. UNAVAILABLE where there is no such server.
StatusOr<std::vector<Certificate>> FetchCertificates(const std::string& address);

// The CA certificate that a TLS 1.3 server at HOST:PORT sends behind its own, if its SHA-256 is the
// one given; PERMISSION_DENIED if not. Nothing is sent to the server before or after: the caller
// then makes a new connection with this CA as its root.
StatusOr<std::string> FetchAuthority(const std::string& address, const std::string& ca_sha256);

}  // namespace consilium
