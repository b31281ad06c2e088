#pragma once

// Signatures over bytes: Ed25519 (RFC 8032) with an Ed25519 key, ECDSA over SHA-256 with a P-256
// one.

#include <string>
#include <string_view>

#include "common/base/status.h"
#include "common/crypto/certificate.h"
#include "common/crypto/key.h"

namespace consilium {

StatusOr<std::string> Sign(const PrivateKey& key, std::string_view bytes);

// PERMISSION_DENIED unless the certificate's key signed these bytes. Whether the certificate itself
// is to be trusted is VerifyChain's to say.
Status CheckSignature(const Certificate& certificate, std::string_view bytes,
                      std::string_view signature);

}  // namespace consilium
