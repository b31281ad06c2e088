#include "common/crypto/key.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <algorithm>

#include "common/crypto/openssl_internal.h"

namespace consilium {
namespace {

// OpenSSL asks here for the passphrase, and would otherwise ask at the terminal.
int GivePassphrase(char* buffer, int size, int /*writing*/, void* passphrase) {
  const auto& text = *static_cast<const std::string*>(passphrase);
  if (text.empty() || text.size() > static_cast<std::size_t>(size)) return -1;
  std::copy(text.begin(), text.end(), buffer);
  return static_cast<int>(text.size());
}

}  // namespace

StatusOr<PrivateKey> PrivateKey::Generate() {
  std::shared_ptr<EVP_PKEY> key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  if (key == nullptr) return OpensslError("cannot make a key");
  return PrivateKey(std::move(key));
}

StatusOr<PrivateKey> PrivateKey::FromPem(std::string_view pem, const std::string& passphrase) {
  std::string given = passphrase;
  std::shared_ptr<EVP_PKEY> key(
      PEM_read_bio_PrivateKey(ReadOnlyBio(pem).get(), nullptr, GivePassphrase, &given),
      EVP_PKEY_free);
  if (key == nullptr && pem.find("ENCRYPTED") != std::string_view::npos) {
    ERR_clear_error();
    return FailedPrecondition(
        "the private key is encrypted, and {}",
        passphrase.empty() ? "there is no passphrase" : "this is not its passphrase");
  }
  if (key == nullptr) return BadPem("not a private key");
  return PrivateKey(std::move(key));
}

StatusOr<std::string> PrivateKey::ToPem(const std::string& passphrase) const {
  const bool encrypt = !passphrase.empty();
  return WritePem([&](BIO* bio) {
    return PEM_write_bio_PKCS8PrivateKey(bio, key_.get(), encrypt ? EVP_aes_256_cbc() : nullptr,
                                         encrypt ? passphrase.data() : nullptr,
                                         static_cast<int>(passphrase.size()), nullptr, nullptr);
  });
}

}  // namespace consilium
