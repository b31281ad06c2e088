#include "certs/authority.h"

#include <arpa/inet.h>

#include "common/base/file.h"

namespace consilium {
namespace {

constexpr char kCertificateFile[] = "ca.crt";
constexpr char kKeyFile[] = "ca.key";

CertificateOptions ClientOptions(const Identity& identity, TimePoint now) {
  return {.common_name = identity.name,
          .subject_alternative_names = {"URI:" + identity.ToUri()},
          .server = false,
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

}  // namespace

Status CheckHost(std::string_view host) { return HostName(host).status(); }

StatusOr<Authority> Authority::Create(const std::filesystem::path& folder,
                                      std::string_view federation, TimePoint now) {
  CSL_RETURN_IF_ERROR(CheckName("federation", federation));
  if (std::filesystem::exists(folder / kKeyFile)) {
    return AlreadyExists("{} holds a certificate authority already", folder.string());
  }
  CSL_ASSIGN_OR_RETURN(const PrivateKey key, PrivateKey::Generate());
  CSL_ASSIGN_OR_RETURN(const Certificate certificate,
                       CreateAuthorityCertificate(key, fmt::format("{} federation CA", federation),
                                                  now, kAuthorityValidity));
  CSL_ASSIGN_OR_RETURN(const std::string key_pem, key.ToPem());
  CSL_ASSIGN_OR_RETURN(const std::string pem, certificate.ToPem());
  CSL_RETURN_IF_ERROR(MakeFolders(folder));
  CSL_RETURN_IF_ERROR(WriteFileAtomically(folder / kKeyFile, key_pem, kPrivateMode));
  CSL_RETURN_IF_ERROR(WriteFileAtomically(folder / kCertificateFile, pem));
  return Authority(certificate, pem, key);
}

StatusOr<Authority> Authority::Load(const std::filesystem::path& folder) {
  CSL_ASSIGN_OR_RETURN(const std::string pem, ReadFile(folder / kCertificateFile));
  CSL_ASSIGN_OR_RETURN(const Certificate certificate, Certificate::FromPem(pem));
  CSL_ASSIGN_OR_RETURN(const std::string key_pem, ReadFile(folder / kKeyFile));
  CSL_ASSIGN_OR_RETURN(const PrivateKey key, PrivateKey::FromPem(key_pem));
  if (!certificate.Matches(key)) {
    return FailedPrecondition("{}: ca.key is not the key of ca.crt", folder.string());
  }
  return Authority(certificate, pem, key);
}

StatusOr<std::string> Authority::IssueFromRequest(std::string_view request_pem,
                                                  const Identity& identity, TimePoint now) const {
  CSL_ASSIGN_OR_RETURN(const SigningRequest request, SigningRequest::FromPem(request_pem));
  CSL_ASSIGN_OR_RETURN(const Certificate certificate,
                       IssueCertificate(certificate_, key_, request, ClientOptions(identity, now)));
  return certificate.ToPem();
}

StatusOr<std::string> Authority::IssueClient(const PrivateKey& key, const Identity& identity,
                                             TimePoint now) const {
  CSL_ASSIGN_OR_RETURN(const Certificate certificate,
                       IssueCertificate(certificate_, key_, key, ClientOptions(identity, now)));
  return certificate.ToPem();
}

StatusOr<std::string> Authority::IssueServer(const PrivateKey& key, const Identity& identity,
                                             std::string_view host, TimePoint now) const {
  CSL_ASSIGN_OR_RETURN(const std::string host_name, HostName(host));
  CertificateOptions options = ClientOptions(identity, now);
  options.server = true;
  options.subject_alternative_names.insert(options.subject_alternative_names.end(),
                                           {host_name, "DNS:localhost", "IP:127.0.0.1"});
  CSL_ASSIGN_OR_RETURN(const Certificate certificate,
                       IssueCertificate(certificate_, key_, key, options));
  return certificate.ToPem();
}

}  // namespace consilium
