#include "certs/key_file.h"

#include "certs/passphrase.h"
#include "common/base/file.h"

namespace consilium {

Status WriteKeyFile(const std::filesystem::path& path, const PrivateKey& key,
                    std::string_view chain_pem) {
  CSL_ASSIGN_OR_RETURN(const std::string key_pem, EncodeKey(key));
  return WriteFileAtomically(path, key_pem + std::string(chain_pem), kPrivateMode);
}

StatusOr<KeyFile> ReadKeyFile(const std::filesystem::path& path) {
  CSL_ASSIGN_OR_RETURN(const std::string pem, ReadFile(path));
  CSL_ASSIGN_OR_RETURN(const PrivateKey key, DecodeKey(pem, path));
  CSL_ASSIGN_OR_RETURN(auto chain, Certificate::ChainFromPem(pem));
  if (!chain.front().Matches(key)) {
    return FailedPrecondition(
        "{}: the key is not the certificate's; remove the file, and another is made",
        path.string());
  }
  return KeyFile{key, std::move(chain)};
}

}  // namespace consilium
