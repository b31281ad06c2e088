#pragma once

// Making certificates: requests for them, and what an authority signs.

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/crypto/certificate.h"
#include "common/crypto/key.h"

struct X509_req_st;

namespace consilium {

// A request for a certificate: a public key and the proof that its owner holds the private one.
// Names in it are ignored: what a certificate says is the issuer's decision.
class SigningRequest {
 public:
  static StatusOr<std::string> Create(const PrivateKey& key);
  // INVALID_ARGUMENT unless it is one P-256 key whose signature on the request is right.
  static StatusOr<SigningRequest> FromPem(std::string_view pem);

  X509_req_st* get() const { return request_.get(); }

 private:
  explicit SigningRequest(std::shared_ptr<X509_req_st> request) : request_(std::move(request)) {}
  std::shared_ptr<X509_req_st> request_;
};

struct CertificateOptions {
  std::string common_name;
  std::vector<std::string> subject_alternative_names;  // OpenSSL's form: "URI:…", "DNS:…", "IP:…"
  Purpose purpose = Purpose::kClient;
  TimePoint now;
  std::chrono::days validity{365};
};

// A certificate and its key, which may sign others.
struct Issuer {
  Certificate certificate;
  PrivateKey key;
};

// A certificate that signs itself, of an authority that may have one level of authorities below it.
StatusOr<Certificate> CreateRoot(const PrivateKey& key, std::string_view common_name, TimePoint now,
                                 std::chrono::days validity);
// An authority below the root, which may have none below itself.
StatusOr<Certificate> IssueAuthority(const Issuer& root, const PrivateKey& key,
                                     std::string_view common_name, TimePoint now,
                                     std::chrono::days validity);
// A certificate for `subject`'s public key, or for that of a request. It ends with its issuer's at
// the latest.
StatusOr<Certificate> IssueCertificate(const Issuer& issuer, const PrivateKey& subject,
                                       const CertificateOptions& options);
StatusOr<Certificate> IssueCertificate(const Issuer& issuer, const SigningRequest& request,
                                       const CertificateOptions& options);

// A certificate that is not good any more, before its time.
struct Revocation {
  std::string serial;
  TimePoint since;

  bool operator==(const Revocation&) const = default;
};

// A revocation list (RFC 5280, section 5) in PEM, due again at `next`. It names certificates of
// former issuing CAs, too, but the issuer's signature alone is on it.
StatusOr<std::string> IssueRevocationList(const Issuer& issuer,
                                          const std::vector<Revocation>& revocations, TimePoint now,
                                          TimePoint next);
// The serial numbers in a revocation list; PERMISSION_DENIED unless `issuer` signed it.
StatusOr<std::vector<std::string>> ReadRevocationList(std::string_view pem,
                                                      const Certificate& issuer);

}  // namespace consilium
