#include "common/crypto/certificate.h"

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <array>
#include <ctime>

#include "common/crypto/digest.h"
#include "common/crypto/openssl_internal.h"

namespace consilium {
namespace {

TimePoint ToTimePoint(const ASN1_TIME* time) {
  std::tm parts{};
  ASN1_TIME_to_tm(time, &parts);
  return std::chrono::time_point_cast<std::chrono::milliseconds>(
      std::chrono::system_clock::from_time_t(timegm(&parts)));
}

std::string CommonName(const X509_NAME* name) {
  std::array<char, 256> text{};
  const int size = X509_NAME_get_text_by_NID(name, NID_commonName, text.data(), text.size());
  return size < 0 ? "" : std::string(text.data(), static_cast<std::size_t>(size));
}

// OpenSSL 3.0 knows no purpose for signing: MaySign looks.
int OpensslPurpose(Purpose purpose) {
  switch (purpose) {
    case Purpose::kClient:
      return X509_PURPOSE_SSL_CLIENT;
    case Purpose::kServer:
      return X509_PURPOSE_SSL_SERVER;
    case Purpose::kSigning:
      break;
  }
  return X509_PURPOSE_ANY;
}

bool MaySign(const Certificate& certificate) {
  constexpr std::uint32_t kNone = UINT32_MAX;  // where there is no such extension
  const std::uint32_t purposes = X509_get_extended_key_usage(certificate.get());
  return purposes != kNone && (purposes & XKU_CODE_SIGN) != 0;
}

}  // namespace

StatusOr<Certificate> Certificate::FromPem(std::string_view pem) {
  std::shared_ptr<X509> x509(PEM_read_bio_X509(ReadOnlyBio(pem).get(), nullptr, nullptr, nullptr),
                             X509_free);
  if (x509 == nullptr) return BadPem("not a certificate");
  return Certificate(std::move(x509));
}

StatusOr<std::vector<Certificate>> Certificate::ChainFromPem(std::string_view pem) {
  const std::shared_ptr<BIO> bio = ReadOnlyBio(pem);
  std::vector<Certificate> chain;
  while (X509* x509 = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    chain.emplace_back(std::shared_ptr<X509>(x509, X509_free));
    if (chain.size() > kMaxChain) return InvalidArgument("more than {} certificates", kMaxChain);
  }
  const unsigned long error = ERR_peek_last_error();
  const bool at_end = ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
  if (chain.empty() || !at_end) return BadPem("not a certificate");
  ERR_clear_error();
  return chain;
}

StatusOr<std::string> Certificate::ToPem() const {
  return WritePem([this](BIO* bio) { return PEM_write_bio_X509(bio, certificate_.get()); });
}

std::string Certificate::Sha256() const {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  X509_digest(certificate_.get(), EVP_sha256(), digest.data(), &size);
  return ToHex(std::span(digest).first(size));
}

std::string Certificate::Serial() const {
  return ToHex(X509_get0_serialNumber(certificate_.get()));
}

std::vector<std::string> Certificate::Uris() const {
  const std::shared_ptr<GENERAL_NAMES> names(
      static_cast<GENERAL_NAMES*>(
          X509_get_ext_d2i(certificate_.get(), NID_subject_alt_name, nullptr, nullptr)),
      GENERAL_NAMES_free);
  std::vector<std::string> uris;
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI) continue;
    const ASN1_IA5STRING* uri = name->d.uniformResourceIdentifier;
    uris.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)),
                      static_cast<std::size_t>(ASN1_STRING_length(uri)));
  }
  return uris;
}

TimePoint Certificate::NotBefore() const {
  return ToTimePoint(X509_get0_notBefore(certificate_.get()));
}
TimePoint Certificate::NotAfter() const {
  return ToTimePoint(X509_get0_notAfter(certificate_.get()));
}

std::string Certificate::Subject() const {
  return CommonName(X509_get_subject_name(certificate_.get()));
}
std::string Certificate::Issuer() const {
  return CommonName(X509_get_issuer_name(certificate_.get()));
}

bool Certificate::IsIssuedBy(const Certificate& issuer) const {
  const bool signed_by =
      X509_verify(certificate_.get(), X509_get0_pubkey(issuer.certificate_.get())) == 1;
  ERR_clear_error();
  return signed_by;
}

bool Certificate::Matches(const PrivateKey& key) const {
  const bool matches = X509_check_private_key(certificate_.get(), key.get()) == 1;
  ERR_clear_error();
  return matches;
}

Status VerifyChain(const std::vector<Certificate>& chain, const Certificate& root, Purpose purpose,
                   TimePoint at) {
  if (chain.empty()) return PermissionDenied("there is no certificate");
  const std::shared_ptr<X509_STORE> roots(X509_STORE_new(), X509_STORE_free);
  const std::shared_ptr<X509_STORE_CTX> context(X509_STORE_CTX_new(), X509_STORE_CTX_free);
  const std::shared_ptr<STACK_OF(X509)> others(sk_X509_new_null(),
                                               [](STACK_OF(X509) * s) { sk_X509_free(s); });
  bool ready = roots && context && others && X509_STORE_add_cert(roots.get(), root.get()) == 1;
  for (std::size_t i = 1; i < chain.size(); ++i) {
    ready = ready && sk_X509_push(others.get(), chain[i].get()) > 0;
  }
  if (!ready ||
      X509_STORE_CTX_init(context.get(), roots.get(), chain.front().get(), others.get()) != 1) {
    return OpensslError("cannot verify a certificate");
  }
  X509_STORE_CTX_set_purpose(context.get(), OpensslPurpose(purpose));
  X509_STORE_CTX_set_time(context.get(), 0, std::chrono::system_clock::to_time_t(at));
  if (X509_verify_cert(context.get()) == 1) {
    if (purpose != Purpose::kSigning || MaySign(chain.front())) return OkStatus();
    return PermissionDenied("the certificate of '{}' is not one for signing",
                            chain.front().Subject());
  }
  ERR_clear_error();
  return PermissionDenied("the certificate of '{}' is not trusted: {}", chain.front().Subject(),
                          X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get())));
}

}  // namespace consilium
