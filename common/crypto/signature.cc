#include "common/crypto/signature.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "common/crypto/openssl_internal.h"

namespace consilium {
namespace {

// Ed25519 hashes by itself.
const EVP_MD* DigestFor(const EVP_PKEY* key) {
  return EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 ? nullptr : EVP_sha256();
}

const unsigned char* Data(std::string_view bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

}  // namespace

StatusOr<std::string> Sign(const PrivateKey& key, std::string_view bytes) {
  const std::shared_ptr<EVP_MD_CTX> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  std::size_t size = 0;
  std::string signature;
  if (context == nullptr ||
      EVP_DigestSignInit(context.get(), nullptr, DigestFor(key.get()), nullptr, key.get()) != 1 ||
      EVP_DigestSign(context.get(), nullptr, &size, Data(bytes), bytes.size()) != 1) {
    return OpensslError("cannot sign");
  }
  signature.resize(size);
  if (EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                     Data(bytes), bytes.size()) != 1) {
    return OpensslError("cannot sign");
  }
  signature.resize(size);
  return signature;
}

Status CheckSignature(const Certificate& certificate, std::string_view bytes,
                      std::string_view signature) {
  EVP_PKEY* key = X509_get0_pubkey(certificate.get());
  const std::shared_ptr<EVP_MD_CTX> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  const bool good =
      key != nullptr && context != nullptr &&
      EVP_DigestVerifyInit(context.get(), nullptr, DigestFor(key), nullptr, key) == 1 &&
      EVP_DigestVerify(context.get(), Data(signature), signature.size(), Data(bytes),
                       bytes.size()) == 1;
  ERR_clear_error();
  if (good) return OkStatus();
  return PermissionDenied("the signature is not that of '{}'", certificate.Subject());
}

}  // namespace consilium
