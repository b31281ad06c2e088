#include "certs/authority.h"

#include <arpa/inet.h>
#include <fmt/chrono.h>

#include "certs/passphrase.h"
#include "common/base/file.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;

constexpr char kRootCertificate[] = "ca.crt";
constexpr char kRootKey[] = "ca.key";
constexpr char kRootFolder[] = "root";
constexpr std::size_t kMaxFederationName = 40;  // a CA's common name has 64

CertificateOptions ClientOptions(const Identity& identity, TimePoint now) {
  return {.common_name = identity.name,
          .subject_alternative_names = {"URI:" + identity.ToUri()},
          .purpose = Purpose::kClient,
          .now = now,
          .validity = Authority::kCertificateValidity};
}

// "IP:…" or "DNS:…". A comma or colon in a name would be read as a further name.
StatusOr<std::string> HostName(std::string_view host) {
  const std::string text(host);
  in_addr address{};
  if (inet_pton(AF_INET, text.c_str(), &address) == 1) return "IP:" + text;
  CSL_RETURN_IF_ERROR(CheckName("host", host));
  return "DNS:" + text;
}

StatusOr<Issuer> ReadIssuer(const fs::path& certificate_file, const fs::path& key_file) {
  CSL_ASSIGN_OR_RETURN(const std::string pem, ReadFile(certificate_file));
  CSL_ASSIGN_OR_RETURN(const Certificate certificate, Certificate::FromPem(pem));
  CSL_ASSIGN_OR_RETURN(const std::string key_pem, ReadFile(key_file));
  CSL_ASSIGN_OR_RETURN(const PrivateKey key, DecodeKey(key_pem, key_file));
  if (!certificate.Matches(key)) {
    return FailedPrecondition("{} is not the key of {}", key_file.string(),
                              certificate_file.string());
  }
  return Issuer{certificate, key};
}

// Makes an issuing CA below the root and puts it into the folder.
Status WriteIssuing(const fs::path& folder, const Issuer& root, TimePoint now) {
  CSL_ASSIGN_OR_RETURN(const PrivateKey key, PrivateKey::Generate());
  // "lungs federation CA" has "lungs issuing CA 2026-11-22" below it.
  const std::string root_name = root.certificate.Subject();
  const std::string name =
      fmt::format("{} issuing CA {:%Y-%m-%d}", root_name.substr(0, root_name.find(' ')), now);
  CSL_ASSIGN_OR_RETURN(const Certificate certificate,
                       IssueAuthority(root, key, name, now, Authority::kIssuingValidity));
  const CertificateOptions options{
      .common_name = "trial", .subject_alternative_names = {"DNS:trial"}, .now = now};
  CSL_ASSIGN_OR_RETURN(const Certificate trial, IssueCertificate({certificate, key}, key, options));
  const Status usable = VerifyChain({trial, certificate}, root.certificate, Purpose::kClient, now);
  if (!usable.ok()) {
    return FailedPrecondition("'{}' cannot have an issuing CA below it: {}",
                              root.certificate.Subject(), std::string(usable.message()));
  }
  CSL_ASSIGN_OR_RETURN(const std::string key_pem, EncodeKey(key));
  CSL_ASSIGN_OR_RETURN(const std::string pem, certificate.ToPem());
  return WriteFileAtomically(folder / Authority::kIssuingFile, key_pem + pem, kPrivateMode);
}

}  // namespace

Status CheckHost(std::string_view host) { return HostName(host).status(); }

StatusOr<Authority> Authority::Create(const fs::path& folder, std::string_view federation,
                                      TimePoint now) {
  CSL_RETURN_IF_ERROR(CheckName("federation", federation));
  if (federation.size() > kMaxFederationName) {
    return InvalidArgument("federation '{}': want at most {} characters", federation,
                           kMaxFederationName);
  }
  if (fs::exists(folder / kRootCertificate)) {
    return AlreadyExists("{} holds a certificate authority already", folder.string());
  }
  CSL_ASSIGN_OR_RETURN(const PrivateKey key, PrivateKey::Generate());
  CSL_ASSIGN_OR_RETURN(
      const Certificate certificate,
      CreateRoot(key, fmt::format("{} federation CA", federation), now, kRootValidity));
  CSL_ASSIGN_OR_RETURN(const std::string key_pem, EncodeKey(key));
  CSL_ASSIGN_OR_RETURN(const std::string pem, certificate.ToPem());
  CSL_RETURN_IF_ERROR(MakeFolders(folder / kRootFolder));
  CSL_RETURN_IF_ERROR(WriteFileAtomically(folder / kRootFolder / kRootKey, key_pem, kPrivateMode));
  CSL_RETURN_IF_ERROR(WriteFileAtomically(folder / kRootFolder / kRootCertificate, pem));
  CSL_RETURN_IF_ERROR(WriteIssuing(folder, {certificate, key}, now));
  CSL_RETURN_IF_ERROR(WriteFileAtomically(folder / kRootCertificate, pem));
  return Load(folder);
}

StatusOr<Authority> Authority::Load(const fs::path& folder) {
  CSL_ASSIGN_OR_RETURN(const std::string root_pem, ReadFile(folder / kRootCertificate));
  CSL_ASSIGN_OR_RETURN(const Certificate root, Certificate::FromPem(root_pem));
  const fs::path issuing = folder / kIssuingFile;
  if (!fs::exists(issuing)) {  // from before version 0.3
    CSL_ASSIGN_OR_RETURN(Issuer issuer, ReadIssuer(folder / kRootCertificate, folder / kRootKey));
    return Authority(root, root_pem, std::move(issuer), "");
  }
  CSL_ASSIGN_OR_RETURN(Issuer issuer, ReadIssuer(issuing, issuing));
  if (!issuer.certificate.IsIssuedBy(root)) {
    return FailedPrecondition("{}: the issuing CA is not of the root in {}", folder.string(),
                              kRootCertificate);
  }
  CSL_ASSIGN_OR_RETURN(std::string issuing_pem, issuer.certificate.ToPem());
  return Authority(root, root_pem, std::move(issuer), std::move(issuing_pem));
}

Status Authority::RenewIssuing(const fs::path& folder, const fs::path& root_folder, TimePoint now) {
  CSL_ASSIGN_OR_RETURN(const Issuer root,
                       ReadIssuer(folder / kRootCertificate, root_folder / kRootKey));
  return WriteIssuing(folder, root, now);
}

StatusOr<std::string> Authority::ToChain(const StatusOr<Certificate>& certificate) const {
  CSL_RETURN_IF_ERROR(certificate.status());
  CSL_ASSIGN_OR_RETURN(const std::string pem, certificate->ToPem());
  return pem + issuing_pem_;
}

StatusOr<std::string> Authority::IssueFromRequest(std::string_view request_pem,
                                                  const Identity& identity, TimePoint now) const {
  CSL_ASSIGN_OR_RETURN(const SigningRequest request, SigningRequest::FromPem(request_pem));
  return ToChain(IssueCertificate(issuer_, request, ClientOptions(identity, now)));
}

StatusOr<std::string> Authority::IssueClient(const PrivateKey& key, const Identity& identity,
                                             TimePoint now) const {
  return ToChain(IssueCertificate(issuer_, key, ClientOptions(identity, now)));
}

StatusOr<std::string> Authority::IssueServer(const PrivateKey& key, const Identity& identity,
                                             std::string_view host, TimePoint now) const {
  CSL_ASSIGN_OR_RETURN(const std::string host_name, HostName(host));
  CertificateOptions options = ClientOptions(identity, now);
  options.purpose = Purpose::kServer;
  options.subject_alternative_names.insert(options.subject_alternative_names.end(),
                                           {host_name, "DNS:localhost", "IP:127.0.0.1"});
  return ToChain(IssueCertificate(issuer_, key, options));
}

StatusOr<std::string> Authority::IssueSigner(const PrivateKey& key, const Identity& identity,
                                             TimePoint now) const {
  CertificateOptions options = ClientOptions(identity, now);
  options.purpose = Purpose::kSigning;
  return ToChain(IssueCertificate(issuer_, key, options));
}

StatusOr<std::string> Authority::IssueRevocationList(const std::vector<Revocation>& revocations,
                                                     TimePoint now) const {
  return consilium::IssueRevocationList(issuer_, revocations, now, now + kRevocationListValidity);
}

}  // namespace consilium
