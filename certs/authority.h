#pragma once

// The federation's certificate authority: one self-signed P-256 certificate and its key in a folder
// (ca.crt, and ca.key with mode 0600), and the certificates it issues.

#include <filesystem>
#include <string>
#include <string_view>

#include "certs/identity.h"
#include "common/base/clock.h"
#include "common/crypto/certificate.h"

namespace consilium {

// INVALID_ARGUMENT unless a server certificate can name the host: a name, or an IPv4 address.
Status CheckHost(std::string_view host);

// Immutable once made; thread-safe.
class Authority {
 public:
  static constexpr std::chrono::days kAuthorityValidity{3650};
  static constexpr std::chrono::days kCertificateValidity{365};

  // Makes a new authority in the folder. ALREADY_EXISTS if one is there.
  static StatusOr<Authority> Create(const std::filesystem::path& folder,
                                    std::string_view federation, TimePoint now);
  static StatusOr<Authority> Load(const std::filesystem::path& folder);

  // A client certificate for the public key of a request; what the request says of names is
  // ignored.
  StatusOr<std::string> IssueFromRequest(std::string_view request_pem, const Identity& identity,
                                         TimePoint now) const;
  // A client certificate for a key made here: the first admin's.
  StatusOr<std::string> IssueClient(const PrivateKey& key, const Identity& identity,
                                    TimePoint now) const;
  // The coordinator's own: for its identity and the host name or address that hospitals call.
  // localhost and 127.0.0.1 are always among its names, so that it can be reached on its own
  // machine.
  StatusOr<std::string> IssueServer(const PrivateKey& key, const Identity& identity,
                                    std::string_view host, TimePoint now) const;

  const Certificate& certificate() const { return certificate_; }
  const std::string& pem() const { return pem_; }

 private:
  Authority(Certificate certificate, std::string pem, PrivateKey key)
      : certificate_(std::move(certificate)), pem_(std::move(pem)), key_(std::move(key)) {}

  Certificate certificate_;
  std::string pem_;
  PrivateKey key_;
};

}  // namespace consilium
