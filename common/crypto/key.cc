#include "common/crypto/key.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>

#include <algorithm>

#include "common/crypto/openssl_internal.h"

namespace consilium {
namespace {

constexpr int kIterations = 600'000;  // of PBKDF2; OpenSSL would take 2048

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

StatusOr<PrivateKey> PrivateKey::GenerateEd25519() {
  std::shared_ptr<EVP_PKEY> key(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"), EVP_PKEY_free);
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
  if (passphrase.empty()) {
    return WritePem([&](BIO* bio) {
      return PEM_write_bio_PKCS8PrivateKey(bio, key_.get(), nullptr, nullptr, 0, nullptr, nullptr);
    });
  }
  const std::shared_ptr<PKCS8_PRIV_KEY_INFO> plain(EVP_PKEY2PKCS8(key_.get()),
                                                   PKCS8_PRIV_KEY_INFO_free);
  const std::shared_ptr<X509_SIG> encrypted(
      PKCS8_encrypt(/*pbe_nid=*/-1, EVP_aes_256_cbc(), passphrase.data(),
                    static_cast<int>(passphrase.size()), /*salt=*/nullptr, 0, kIterations,
                    plain.get()),
      X509_SIG_free);
  if (encrypted == nullptr) return OpensslError("cannot encrypt a key");
  return WritePem([&](BIO* bio) { return PEM_write_bio_PKCS8(bio, encrypted.get()); });
}

}  // namespace consilium
