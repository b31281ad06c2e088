#pragma once

// P-256 keys, X.509 certificates and signing requests, on OpenSSL. PEM text in and out.

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/base/status.h"

struct evp_pkey_st;
struct x509_st;
struct X509_req_st;

namespace consilium {

// A private key. Copies share the key; immutable, so safe between threads. Its PEM is a secret:
// write it with kPrivateMode, never log it.
class PrivateKey {
 public:
  static StatusOr<PrivateKey> Generate();
  static StatusOr<PrivateKey> FromPem(std::string_view pem);
  StatusOr<std::string> ToPem() const;

  evp_pkey_st* get() const { return key_.get(); }

 private:
  explicit PrivateKey(std::shared_ptr<evp_pkey_st> key) : key_(std::move(key)) {}
  std::shared_ptr<evp_pkey_st> key_;
};

// A certificate. Immutable.
class Certificate {
 public:
  // The first certificate in the text.
  static StatusOr<Certificate> FromPem(std::string_view pem);
  StatusOr<std::string> ToPem() const;

  // SHA-256 of its DER form: what `join` pins.
  std::string Sha256() const;
  // The serial number in hexadecimal.
  std::string Serial() const;
  // Its URI subject alternative names.
  std::vector<std::string> Uris() const;
  TimePoint NotAfter() const;
  // The common name of who issued it; empty where there is none.
  std::string Issuer() const;
  // Whether the other's key signed it.
  bool IsIssuedBy(const Certificate& issuer) const;
  // Whether it bears the public half of the key.
  bool Matches(const PrivateKey& key) const;

  x509_st* get() const { return certificate_.get(); }

 private:
  friend class CertificateBuilder;
  explicit Certificate(std::shared_ptr<x509_st> certificate)
      : certificate_(std::move(certificate)) {}
  std::shared_ptr<x509_st> certificate_;
};

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
  bool server = false;                                 // serverAuth; otherwise clientAuth
  TimePoint now;
  std::chrono::days validity{365};
};

// A certificate that signs itself and may sign others, but no further authority.
StatusOr<Certificate> CreateAuthorityCertificate(const PrivateKey& key,
                                                 std::string_view common_name, TimePoint now,
                                                 std::chrono::days validity);
// A certificate for `subject`'s public key, or for that of a request, signed by the authority.
StatusOr<Certificate> IssueCertificate(const Certificate& issuer, const PrivateKey& issuer_key,
                                       const PrivateKey& subject,
                                       const CertificateOptions& options);
StatusOr<Certificate> IssueCertificate(const Certificate& issuer, const PrivateKey& issuer_key,
                                       const SigningRequest& request,
                                       const CertificateOptions& options);

}  // namespace consilium
