#include "common/crypto/certificate.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <array>
#include <ctime>

#include "common/crypto/digest.h"

namespace consilium {
namespace {

constexpr std::chrono::minutes kBackdate{5};  // so that a peer whose clock is a little late agrees
constexpr int kSerialBytes = 16;

// The status for the last failed OpenSSL call, whose queue of errors it empties.
Status OpensslStatus(absl::StatusCode code, std::string_view what) {
  const unsigned long error = ERR_get_error();
  ERR_clear_error();
  const char* reason = error == 0 ? nullptr : ERR_reason_error_string(error);
  return Status(code, reason == nullptr ? std::string(what) : fmt::format("{}: {}", what, reason));
}
Status OpensslError(std::string_view what) {
  return OpensslStatus(absl::StatusCode::kInternal, what);
}
Status BadPem(std::string_view what) {
  return OpensslStatus(absl::StatusCode::kInvalidArgument, what);
}

std::shared_ptr<BIO> ReadOnlyBio(std::string_view text) {
  return {BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), BIO_free};
}

template <typename Write>
StatusOr<std::string> WritePem(Write write) {
  const std::shared_ptr<BIO> bio(BIO_new(BIO_s_mem()), BIO_free);
  if (write(bio.get()) != 1) return OpensslError("cannot write PEM");
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<std::size_t>(size));
}

bool IsP256(EVP_PKEY* key) {
  std::array<char, 64> group{};
  return EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
         EVP_PKEY_get_group_name(key, group.data(), group.size(), nullptr) == 1 &&
         std::string_view(group.data()) == SN_X9_62_prime256v1;
}

}  // namespace

StatusOr<PrivateKey> PrivateKey::Generate() {
  std::shared_ptr<EVP_PKEY> key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  if (key == nullptr) return OpensslError("cannot make a key");
  return PrivateKey(std::move(key));
}

StatusOr<PrivateKey> PrivateKey::FromPem(std::string_view pem) {
  std::shared_ptr<EVP_PKEY> key(
      PEM_read_bio_PrivateKey(ReadOnlyBio(pem).get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
  if (key == nullptr) return BadPem("not a private key");
  return PrivateKey(std::move(key));
}

StatusOr<std::string> PrivateKey::ToPem() const {
  return WritePem([this](BIO* bio) {
    return PEM_write_bio_PrivateKey(bio, key_.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
}

StatusOr<Certificate> Certificate::FromPem(std::string_view pem) {
  std::shared_ptr<X509> x509(PEM_read_bio_X509(ReadOnlyBio(pem).get(), nullptr, nullptr, nullptr),
                             X509_free);
  if (x509 == nullptr) return BadPem("not a certificate");
  return Certificate(std::move(x509));
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
  const std::shared_ptr<BIGNUM> number(
      ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate_.get()), nullptr), BN_free);
  char* text = BN_bn2hex(number.get());
  std::string serial = text == nullptr ? "" : text;
  OPENSSL_free(text);
  return serial;
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

TimePoint Certificate::NotAfter() const {
  std::tm time{};
  ASN1_TIME_to_tm(X509_get0_notAfter(certificate_.get()), &time);
  return std::chrono::time_point_cast<std::chrono::milliseconds>(
      std::chrono::system_clock::from_time_t(timegm(&time)));
}

std::string Certificate::Issuer() const {
  std::array<char, 256> name{};
  const int size = X509_NAME_get_text_by_NID(X509_get_issuer_name(certificate_.get()),
                                             NID_commonName, name.data(), name.size());
  return size < 0 ? "" : std::string(name.data(), static_cast<std::size_t>(size));
}

bool Certificate::IsIssuedBy(const Certificate& issuer) const {
  const bool signed_by =
      X509_verify(certificate_.get(), X509_get0_pubkey(issuer.certificate_.get())) == 1;
  ERR_clear_error();
  return signed_by;
}

bool Certificate::Matches(const PrivateKey& key) const {
  return X509_check_private_key(certificate_.get(), key.get()) == 1;
}

StatusOr<std::string> SigningRequest::Create(const PrivateKey& key) {
  const std::shared_ptr<X509_REQ> request(X509_REQ_new(), X509_REQ_free);
  if (request == nullptr || X509_REQ_set_pubkey(request.get(), key.get()) != 1 ||
      X509_REQ_sign(request.get(), key.get(), EVP_sha256()) == 0) {
    return OpensslError("cannot make a signing request");
  }
  return WritePem([&](BIO* bio) { return PEM_write_bio_X509_REQ(bio, request.get()); });
}

StatusOr<SigningRequest> SigningRequest::FromPem(std::string_view pem) {
  std::shared_ptr<X509_REQ> request(
      PEM_read_bio_X509_REQ(ReadOnlyBio(pem).get(), nullptr, nullptr, nullptr), X509_REQ_free);
  if (request == nullptr) return BadPem("not a signing request");
  EVP_PKEY* key = X509_REQ_get0_pubkey(request.get());
  if (key == nullptr || !IsP256(key)) return InvalidArgument("the request's key is not P-256");
  if (X509_REQ_verify(request.get(), key) != 1) {
    return BadPem("the request is not signed by its own key");
  }
  return SigningRequest(std::move(request));
}

// Fills in a certificate step by step; the first step that fails decides Sign's answer.
class CertificateBuilder {
 public:
  CertificateBuilder(TimePoint now, std::chrono::days validity)
      : certificate_(X509_new(), X509_free) {
    const std::time_t start = std::chrono::system_clock::to_time_t(now - kBackdate);
    const std::time_t end = std::chrono::system_clock::to_time_t(now + validity);
    Step(certificate_ != nullptr && X509_set_version(x509(), X509_VERSION_3) == 1 && SetSerial() &&
         ASN1_TIME_set(X509_getm_notBefore(x509()), start) != nullptr &&
         ASN1_TIME_set(X509_getm_notAfter(x509()), end) != nullptr);
  }

  void SetSubject(std::string_view common_name) {
    X509_NAME* name = X509_get_subject_name(x509());
    Step(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(common_name.data()),
                                    static_cast<int>(common_name.size()), -1, 0) == 1);
  }
  // Null: the certificate itself.
  void SetIssuer(X509* issuer) {
    issuer_ = issuer == nullptr ? x509() : issuer;
    Step(X509_set_issuer_name(x509(), X509_get_subject_name(issuer_)) == 1);
  }
  void SetPublicKey(EVP_PKEY* key) { Step(X509_set_pubkey(x509(), key) == 1); }

  void AddExtension(int nid, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer_, x509(), nullptr, nullptr, 0);
    const std::shared_ptr<X509_EXTENSION> extension(
        X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()), X509_EXTENSION_free);
    Step(extension != nullptr && X509_add_ext(x509(), extension.get(), -1) == 1);
  }

  StatusOr<Certificate> Sign(const PrivateKey& key) && {
    Step(X509_sign(x509(), key.get(), EVP_sha256()) != 0);
    if (!ok_) return OpensslError("cannot make a certificate");
    return Certificate(std::move(certificate_));
  }

 private:
  X509* x509() { return certificate_.get(); }
  void Step(bool ok) { ok_ = ok_ && ok; }
  bool SetSerial() {
    std::array<unsigned char, kSerialBytes> bytes{};
    if (RAND_bytes(bytes.data(), kSerialBytes) != 1) return false;
    bytes[0] &= 0x7f;  // positive, as RFC 5280 asks
    const std::shared_ptr<BIGNUM> number(BN_bin2bn(bytes.data(), kSerialBytes, nullptr), BN_free);
    return BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(x509())) != nullptr;
  }

  std::shared_ptr<X509> certificate_;
  X509* issuer_ = nullptr;
  bool ok_ = true;
};

namespace {

StatusOr<Certificate> Issue(const Certificate& issuer, const PrivateKey& issuer_key,
                            EVP_PKEY* subject_key, const CertificateOptions& options) {
  CertificateBuilder builder(options.now, options.validity);
  builder.SetSubject(options.common_name);
  builder.SetIssuer(issuer.get());
  builder.SetPublicKey(subject_key);
  builder.AddExtension(NID_basic_constraints, "critical,CA:FALSE");
  builder.AddExtension(NID_key_usage, "critical,digitalSignature");
  builder.AddExtension(NID_ext_key_usage, options.server ? "serverAuth" : "clientAuth");
  builder.AddExtension(NID_authority_key_identifier, "keyid");
  builder.AddExtension(NID_subject_alt_name,
                       fmt::format("{}", fmt::join(options.subject_alternative_names, ",")));
  return std::move(builder).Sign(issuer_key);
}

}  // namespace

StatusOr<Certificate> CreateAuthorityCertificate(const PrivateKey& key,
                                                 std::string_view common_name, TimePoint now,
                                                 std::chrono::days validity) {
  CertificateBuilder builder(now, validity);
  builder.SetSubject(common_name);
  builder.SetIssuer(nullptr);
  builder.SetPublicKey(key.get());
  builder.AddExtension(NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
  builder.AddExtension(NID_key_usage, "critical,keyCertSign,cRLSign");
  builder.AddExtension(NID_subject_key_identifier, "hash");
  return std::move(builder).Sign(key);
}

StatusOr<Certificate> IssueCertificate(const Certificate& issuer, const PrivateKey& issuer_key,
                                       const PrivateKey& subject,
                                       const CertificateOptions& options) {
  return Issue(issuer, issuer_key, subject.get(), options);
}

StatusOr<Certificate> IssueCertificate(const Certificate& issuer, const PrivateKey& issuer_key,
                                       const SigningRequest& request,
                                       const CertificateOptions& options) {
  return Issue(issuer, issuer_key, X509_REQ_get0_pubkey(request.get()), options);
}

}  // namespace consilium
