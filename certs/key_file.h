#pragma once

// A private key and the certificates that say whose it is, in one file, so that they are replaced
// together: the key in PEM (see certs/passphrase.h), then the certificates, its own first.

#include <filesystem>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/crypto/certificate.h"
#include "common/crypto/key.h"

namespace consilium {

struct KeyFile {
  PrivateKey key;
  std::vector<Certificate> chain;
};

// With mode 0600.
Status WriteKeyFile(const std::filesystem::path& path, const PrivateKey& key,
                    std::string_view chain_pem);
// FAILED_PRECONDITION where the key is not the first certificate's.
StatusOr<KeyFile> ReadKeyFile(const std::filesystem::path& path);

}  // namespace consilium
