#pragma once

// Statements that a member of the federation signs, and that others keep: what is said of a global
// model, how far an audit trail had come.

#include <string>
#include <string_view>

#include "certs/identity.h"
#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/crypto/certificate.h"
#include "common/crypto/key.h"
#include "consilium/v1/signed.pb.h"

namespace consilium {

// A key, and the certificates that say whose it is: its own, then its issuer's.
struct Signer {
  PrivateKey key;
  std::string chain_pem;
};

// The kind of statement is signed with it, so that none passes for one of another kind.
inline constexpr std::string_view kModelManifest = "model manifest";
inline constexpr std::string_view kTrailHead = "trail head";

inline constexpr std::size_t kMaxStatementBytes = 4 << 20;

// The bytes that a signature is over.
std::string ToBeSigned(std::string_view kind, std::string_view statement);

StatusOr<v1::Signed> SignStatement(std::string_view kind, std::string statement,
                                   const Signer& signer);

// Who signed it. PERMISSION_DENIED unless the signature is that of the certificate in it, which
// leads to the root, was good for `purpose` at `at`, and bears an identity.
StatusOr<Identity> VerifyStatement(std::string_view kind, const v1::Signed& statement,
                                   const Certificate& root, Purpose purpose, TimePoint at);

}  // namespace consilium
