#pragma once

// Private keys, on OpenSSL: P-256 for TLS, Ed25519 for what is signed to be kept. PEM text in and
// out.

#include <memory>
#include <string>
#include <string_view>

#include "common/base/status.h"

struct evp_pkey_st;

namespace consilium {

// A private key. Copies share the key; immutable, so safe between threads. Its PEM is a secret:
// write it with kPrivateMode, never log it.
class PrivateKey {
 public:
  static StatusOr<PrivateKey> Generate();         // P-256
  static StatusOr<PrivateKey> GenerateEd25519();  // RFC 8032
  // FAILED_PRECONDITION where the key is encrypted and the passphrase is not the one; a passphrase
  // for a key that is not encrypted is not looked at.
  static StatusOr<PrivateKey> FromPem(std::string_view pem, const std::string& passphrase = "");
  // PKCS #8; encrypted (PBES2: PBKDF2 with HMAC-SHA-256, AES-256-CBC) unless the passphrase is
  // empty.
  StatusOr<std::string> ToPem(const std::string& passphrase = "") const;

  evp_pkey_st* get() const { return key_.get(); }

 private:
  explicit PrivateKey(std::shared_ptr<evp_pkey_st> key) : key_(std::move(key)) {}
  std::shared_ptr<evp_pkey_st> key_;
};

}  // namespace consilium
