#include "certs/home.h"

#include <yaml-cpp/yaml.h>

#include "common/base/file.h"
#include "common/crypto/certificate.h"

namespace consilium {
namespace {

constexpr char kFederationFile[] = "federation.yaml";
constexpr char kAuthorityFile[] = "ca.crt";
constexpr char kCertificateFile[] = "identity.crt";
constexpr char kKeyFile[] = "identity.key";

StatusOr<Home> ReadFederation(const std::filesystem::path& path) {
  CSL_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  return CatchAsStatus(path.string(), [&] {
    const YAML::Node node = YAML::Load(text);
    return Home{.federation = node["federation"].as<std::string>(),
                .endpoint = node["endpoint"].as<std::string>()};
  });
}

}  // namespace

Status WriteHome(const std::filesystem::path& folder, const Home& home) {
  if (HasIdentity(folder)) {
    return AlreadyExists("{} holds an identity already; choose another folder", folder.string());
  }
  CSL_RETURN_IF_ERROR(MakeFolders(folder));
  const std::string federation =
      fmt::format("federation: {}\nendpoint: {}\n", home.federation, home.endpoint);
  CSL_RETURN_IF_ERROR(WriteFileAtomically(folder / kKeyFile, home.key_pem, kPrivateMode));
  CSL_RETURN_IF_ERROR(WriteFileAtomically(folder / kAuthorityFile, home.ca_pem));
  CSL_RETURN_IF_ERROR(WriteFileAtomically(folder / kFederationFile, federation));
  return WriteFileAtomically(folder / kCertificateFile, home.certificate_pem);
}

StatusOr<Home> ReadHome(const std::filesystem::path& folder) {
  if (!HasIdentity(folder)) {
    return FailedPrecondition("{} holds no identity: join a federation with --dir first",
                              folder.string());
  }
  CSL_ASSIGN_OR_RETURN(Home home, ReadFederation(folder / kFederationFile));
  CSL_ASSIGN_OR_RETURN(home.ca_pem, ReadFile(folder / kAuthorityFile));
  CSL_ASSIGN_OR_RETURN(home.certificate_pem, ReadFile(folder / kCertificateFile));
  CSL_ASSIGN_OR_RETURN(home.key_pem, ReadFile(folder / kKeyFile));
  CSL_ASSIGN_OR_RETURN(const Certificate certificate, Certificate::FromPem(home.certificate_pem));
  CSL_ASSIGN_OR_RETURN(const PrivateKey key, PrivateKey::FromPem(home.key_pem));
  if (!certificate.Matches(key)) {
    return FailedPrecondition("{}: {} is not the key of {}", folder.string(), kKeyFile,
                              kCertificateFile);
  }
  return home;
}

bool HasIdentity(const std::filesystem::path& folder) {
  return std::filesystem::exists(folder / kCertificateFile);
}

}  // namespace consilium
