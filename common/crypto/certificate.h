#pragma once

// X.509 certificates, on OpenSSL: what they say, and whether they are to be trusted.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/crypto/key.h"

struct x509_st;

namespace consilium {

// A certificate. Immutable.
class Certificate {
 public:
  // Shares what OpenSSL counts the owners of.
  explicit Certificate(std::shared_ptr<x509_st> certificate)
      : certificate_(std::move(certificate)) {}
  // The first certificate in the text.
  static StatusOr<Certificate> FromPem(std::string_view pem);
  // All of the text's, in order; INVALID_ARGUMENT for none or for more than kMaxChain.
  static StatusOr<std::vector<Certificate>> ChainFromPem(std::string_view pem);
  static constexpr std::size_t kMaxChain = 8;
  StatusOr<std::string> ToPem() const;

  // SHA-256 of its DER form: what `join` pins.
  std::string Sha256() const;
  // The serial number in hexadecimal.
  std::string Serial() const;
  // Its URI subject alternative names.
  std::vector<std::string> Uris() const;
  TimePoint NotBefore() const;
  TimePoint NotAfter() const;
  // The common names of who it is of and of who issued it; empty where there is none.
  std::string Subject() const;
  std::string Issuer() const;
  // Whether the other's key signed it.
  bool IsIssuedBy(const Certificate& issuer) const;
  // Whether it bears the public half of the key.
  bool Matches(const PrivateKey& key) const;

  x509_st* get() const { return certificate_.get(); }

 private:
  std::shared_ptr<x509_st> certificate_;
};

// What a certificate is shown for.
enum class Purpose {
  kClient,   // of TLS
  kServer,   // of TLS
  kSigning,  // of what is kept: its bearer's word, long after a connection has ended
};

// OK if the chain's first certificate leads by the others to the root, all of them valid at that
// time, and may be used so (RFC 5280, section 6.1). PERMISSION_DENIED says what is wrong: "the
// certificate of 'north' has expired".
Status VerifyChain(const std::vector<Certificate>& chain, const Certificate& root, Purpose purpose,
                   TimePoint at);

}  // namespace consilium
