#include "common/crypto/issue.h"

#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <ctime>

#include "common/crypto/openssl_internal.h"

namespace consilium {
namespace {

constexpr std::chrono::minutes kBackdate{5};  // so that a peer whose clock is a little late agrees
constexpr int kSerialBytes = 16;

bool IsP256(EVP_PKEY* key) {
  std::array<char, 64> group{};
  return EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
         EVP_PKEY_get_group_name(key, group.data(), group.size(), nullptr) == 1 &&
         std::string_view(group.data()) == SN_X9_62_prime256v1;
}

}  // namespace

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

namespace {

// Another owner of it.
std::shared_ptr<X509> Shared(X509* certificate) {
  X509_up_ref(certificate);
  return {certificate, X509_free};
}

// Fills in a certificate step by step; the first step that fails decides Sign's answer.
class CertificateBuilder {
 public:
  // Null issuer: the certificate itself.
  CertificateBuilder(std::string_view common_name, EVP_PKEY* key, X509* issuer, TimePoint now,
                     std::chrono::days validity)
      : certificate_(X509_new(), X509_free), issuer_(issuer == nullptr ? x509() : issuer) {
    // Nothing outlives its issuer, or it would end without a warning.
    const TimePoint last =
        issuer == nullptr ? TimePoint::max() : Certificate(Shared(issuer)).NotAfter();
    const std::time_t start = std::chrono::system_clock::to_time_t(now - kBackdate);
    const std::time_t end =
        std::chrono::system_clock::to_time_t(std::min<TimePoint>(now + validity, last));
    X509_NAME* name = X509_get_subject_name(x509());
    Step(certificate_ != nullptr && X509_set_version(x509(), X509_VERSION_3) == 1 && SetSerial() &&
         ASN1_TIME_set(X509_getm_notBefore(x509()), start) != nullptr &&
         ASN1_TIME_set(X509_getm_notAfter(x509()), end) != nullptr &&
         X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(common_name.data()),
                                    static_cast<int>(common_name.size()), -1, 0) == 1 &&
         X509_set_issuer_name(x509(), X509_get_subject_name(issuer_)) == 1 &&
         X509_set_pubkey(x509(), key) == 1);
  }

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

std::shared_ptr<ASN1_TIME> ToAsn1(TimePoint time) {
  return {ASN1_TIME_set(nullptr, std::chrono::system_clock::to_time_t(time)), ASN1_TIME_free};
}

// What RFC 5280 asks of each list: whose key signed it, and a number that grows.
bool AddRevocationListExtensions(X509_CRL* list, X509* issuer, TimePoint now) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, nullptr, nullptr, list, 0);
  const std::shared_ptr<X509_EXTENSION> key(
      X509V3_EXT_conf_nid(nullptr, &context, NID_authority_key_identifier, "keyid"),
      X509_EXTENSION_free);
  const std::shared_ptr<ASN1_INTEGER> number(ASN1_INTEGER_new(), ASN1_INTEGER_free);
  return key && number && X509_CRL_add_ext(list, key.get(), -1) == 1 &&
         ASN1_INTEGER_set_int64(number.get(), ToUnixMillis(now)) == 1 &&
         X509_CRL_add1_ext_i2d(list, NID_crl_number, number.get(), 0, 0) == 1;
}

const char* ExtendedKeyUsage(Purpose purpose) {
  switch (purpose) {
    case Purpose::kClient:
      return "clientAuth";
    case Purpose::kServer:
      return "serverAuth";
    case Purpose::kSigning:
      break;
  }
  return "codeSigning";
}

StatusOr<Certificate> Issue(const Issuer& issuer, EVP_PKEY* subject,
                            const CertificateOptions& options) {
  CertificateBuilder builder(options.common_name, subject, issuer.certificate.get(), options.now,
                             options.validity);
  builder.AddExtension(NID_basic_constraints, "critical,CA:FALSE");
  builder.AddExtension(NID_key_usage, "critical,digitalSignature");
  builder.AddExtension(NID_ext_key_usage, ExtendedKeyUsage(options.purpose));
  builder.AddExtension(NID_subject_key_identifier, "hash");
  builder.AddExtension(NID_authority_key_identifier, "keyid");
  builder.AddExtension(NID_subject_alt_name,
                       fmt::format("{}", fmt::join(options.subject_alternative_names, ",")));
  return std::move(builder).Sign(issuer.key);
}

}  // namespace

StatusOr<Certificate> CreateRoot(const PrivateKey& key, std::string_view common_name, TimePoint now,
                                 std::chrono::days validity) {
  CertificateBuilder builder(common_name, key.get(), nullptr, now, validity);
  builder.AddExtension(NID_basic_constraints, "critical,CA:TRUE,pathlen:1");
  builder.AddExtension(NID_key_usage, "critical,keyCertSign,cRLSign");
  builder.AddExtension(NID_subject_key_identifier, "hash");
  return std::move(builder).Sign(key);
}

StatusOr<Certificate> IssueAuthority(const Issuer& root, const PrivateKey& key,
                                     std::string_view common_name, TimePoint now,
                                     std::chrono::days validity) {
  CertificateBuilder builder(common_name, key.get(), root.certificate.get(), now, validity);
  builder.AddExtension(NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
  builder.AddExtension(NID_key_usage, "critical,keyCertSign,cRLSign");
  builder.AddExtension(NID_subject_key_identifier, "hash");
  builder.AddExtension(NID_authority_key_identifier, "keyid");
  return std::move(builder).Sign(root.key);
}

StatusOr<Certificate> IssueCertificate(const Issuer& issuer, const PrivateKey& subject,
                                       const CertificateOptions& options) {
  return Issue(issuer, subject.get(), options);
}

StatusOr<Certificate> IssueCertificate(const Issuer& issuer, const SigningRequest& request,
                                       const CertificateOptions& options) {
  return Issue(issuer, X509_REQ_get0_pubkey(request.get()), options);
}

StatusOr<std::string> IssueRevocationList(const Issuer& issuer,
                                          const std::vector<Revocation>& revocations, TimePoint now,
                                          TimePoint next) {
  const std::shared_ptr<X509_CRL> list(X509_CRL_new(), X509_CRL_free);
  const std::shared_ptr<ASN1_TIME> issued = ToAsn1(now);
  const std::shared_ptr<ASN1_TIME> due = ToAsn1(next);
  bool ok =
      list && issued && due && X509_CRL_set_version(list.get(), X509_CRL_VERSION_2) == 1 &&
      X509_CRL_set_issuer_name(list.get(), X509_get_subject_name(issuer.certificate.get())) == 1 &&
      X509_CRL_set1_lastUpdate(list.get(), issued.get()) == 1 &&
      X509_CRL_set1_nextUpdate(list.get(), due.get()) == 1;
  for (const Revocation& revocation : revocations) {
    BIGNUM* number = nullptr;
    if (!ok || BN_hex2bn(&number, revocation.serial.c_str()) == 0) {
      ok = false;
      break;
    }
    const std::shared_ptr<BIGNUM> owned(number, BN_free);
    const std::shared_ptr<ASN1_INTEGER> integer(BN_to_ASN1_INTEGER(number, nullptr),
                                                ASN1_INTEGER_free);
    const std::shared_ptr<ASN1_TIME> since = ToAsn1(revocation.since);
    std::unique_ptr<X509_REVOKED, decltype(&X509_REVOKED_free)> entry(X509_REVOKED_new(),
                                                                      X509_REVOKED_free);
    ok = ok && integer && entry && X509_REVOKED_set_serialNumber(entry.get(), integer.get()) == 1 &&
         X509_REVOKED_set_revocationDate(entry.get(), since.get()) == 1 &&
         X509_CRL_add0_revoked(list.get(), entry.get()) == 1;
    if (!ok) break;
    (void)entry.release();  // the list's now
  }
  ok = ok && AddRevocationListExtensions(list.get(), issuer.certificate.get(), now) &&
       X509_CRL_sort(list.get()) == 1 &&
       X509_CRL_sign(list.get(), issuer.key.get(), EVP_sha256()) != 0;
  if (!ok) return OpensslError("cannot make a revocation list");
  return WritePem([&](BIO* bio) { return PEM_write_bio_X509_CRL(bio, list.get()); });
}

StatusOr<std::vector<std::string>> ReadRevocationList(std::string_view pem,
                                                      const Certificate& issuer) {
  const std::shared_ptr<X509_CRL> list(
      PEM_read_bio_X509_CRL(ReadOnlyBio(pem).get(), nullptr, nullptr, nullptr), X509_CRL_free);
  if (list == nullptr) return BadPem("not a revocation list");
  if (X509_CRL_verify(list.get(), X509_get0_pubkey(issuer.get())) != 1) {
    ERR_clear_error();
    return PermissionDenied("the revocation list is not signed by '{}'", issuer.Subject());
  }
  std::vector<std::string> serials;
  STACK_OF(X509_REVOKED)* entries = X509_CRL_get_REVOKED(list.get());
  for (int i = 0; i < sk_X509_REVOKED_num(entries); ++i) {
    serials.push_back(ToHex(X509_REVOKED_get0_serialNumber(sk_X509_REVOKED_value(entries, i))));
  }
  return serials;
}

}  // namespace consilium
