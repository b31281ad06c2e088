#include "certs/home.h"

#include <yaml-cpp/yaml.h>

#include "certs/expiry.h"
#include "certs/passphrase.h"
#include "common/crypto/certificate.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;

constexpr char kFederationFile[] = "federation.yaml";
constexpr char kKeyFile[] = "identity.key";
constexpr char kRenewalFolder[] = "renewal";

StatusOr<Home> ReadFederation(const fs::path& path) {
  CSL_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  return CatchAsStatus(path.string(), [&] {
    const YAML::Node node = YAML::Load(text);
    return Home{.federation = node["federation"].as<std::string>(),
                .endpoint = node["endpoint"].as<std::string>()};
  });
}

StatusOr<PrivateKey> ReadKey(const fs::path& path) {
  CSL_ASSIGN_OR_RETURN(const std::string pem, ReadFile(path));
  return DecodeKey(pem, path);
}

Status WriteKey(const fs::path& path, const PrivateKey& key) {
  CSL_ASSIGN_OR_RETURN(const std::string pem, EncodeKey(key));
  return WriteFileAtomically(path, pem, kPrivateMode);
}

// The certificate and its key.
Status ReadPair(const fs::path& folder, Home& home) {
  CSL_ASSIGN_OR_RETURN(home.certificate_pem, ReadFile(folder / kCertificateFile));
  CSL_ASSIGN_OR_RETURN(const Certificate certificate, Certificate::FromPem(home.certificate_pem));
  CSL_ASSIGN_OR_RETURN(PrivateKey key, ReadKey(folder / kKeyFile));
  const fs::path fresh = folder / kRenewalFolder / kKeyFile;
  if (!certificate.Matches(key) && fs::exists(fresh)) {  // a renewal was cut short
    CSL_ASSIGN_OR_RETURN(key, ReadKey(fresh));
  }
  if (!certificate.Matches(key)) {
    return FailedPrecondition("{}: {} is not the key of {}", folder.string(), kKeyFile,
                              kCertificateFile);
  }
  CSL_ASSIGN_OR_RETURN(home.key_pem, key.ToPem());
  return OkStatus();
}

}  // namespace

Status WriteHome(const fs::path& folder, const Home& home) {
  if (HasIdentity(folder)) {
    return AlreadyExists("{} holds an identity already; choose another folder", folder.string());
  }
  CSL_RETURN_IF_ERROR(MakeFolders(folder));
  const std::string federation =
      fmt::format("federation: {}\nendpoint: {}\n", home.federation, home.endpoint);
  CSL_ASSIGN_OR_RETURN(const PrivateKey key, PrivateKey::FromPem(home.key_pem));
  CSL_RETURN_IF_ERROR(WriteKey(folder / kKeyFile, key));
  CSL_RETURN_IF_ERROR(WriteFileAtomically(folder / kRootFile, home.ca_pem));
  CSL_RETURN_IF_ERROR(WriteFileAtomically(folder / kFederationFile, federation));
  return WriteFileAtomically(folder / kCertificateFile, home.certificate_pem);
}

StatusOr<Home> ReadHome(const fs::path& folder) {
  if (!HasIdentity(folder)) {
    return FailedPrecondition("{} holds no identity: join a federation with --dir first",
                              folder.string());
  }
  CSL_ASSIGN_OR_RETURN(Home home, ReadFederation(folder / kFederationFile));
  CSL_ASSIGN_OR_RETURN(home.ca_pem, ReadFile(folder / kRootFile));
  Status whole = ReadPair(folder, home);
  // Once more: a renewal may have changed one file between the readings of the two.
  if (!whole.ok()) whole = ReadPair(folder, home);
  CSL_RETURN_IF_ERROR(whole);
  return home;
}

StatusOr<HomeRenewal> HomeRenewal::Begin(const fs::path& folder) {
  CSL_RETURN_IF_ERROR(CheckOwner(folder));
  CSL_RETURN_IF_ERROR(MakeFolders(folder / kRenewalFolder));
  CSL_ASSIGN_OR_RETURN(FileDescriptor lock, LockFolder(folder / kRenewalFolder));
  const fs::path fresh = folder / kRenewalFolder / kKeyFile;
  if (fs::exists(fresh)) {  // of a renewal that was cut short: it may be the key that is in use
    CSL_ASSIGN_OR_RETURN(const Home home, ReadHome(folder));
    CSL_ASSIGN_OR_RETURN(const PrivateKey in_use, PrivateKey::FromPem(home.key_pem));
    CSL_RETURN_IF_ERROR(WriteKey(folder / kKeyFile, in_use));
  }
  CSL_ASSIGN_OR_RETURN(PrivateKey key, PrivateKey::Generate());
  CSL_RETURN_IF_ERROR(WriteKey(fresh, key));
  return HomeRenewal(folder, std::move(lock), std::move(key));
}

Status HomeRenewal::Finish(const std::string& certificate_pem) {
  CSL_ASSIGN_OR_RETURN(const Certificate certificate, Certificate::FromPem(certificate_pem));
  if (!certificate.Matches(key_)) {
    return Internal("the certificate that came is not of the key that was sent");
  }
  CSL_RETURN_IF_ERROR(WriteFileAtomically(folder_ / kCertificateFile, certificate_pem));
  CSL_RETURN_IF_ERROR(WriteKey(folder_ / kKeyFile, key_));
  std::error_code error;
  fs::remove(folder_ / kRenewalFolder / kKeyFile, error);
  return OkStatus();
}

StatusOr<bool> HasChanged(const fs::path& folder, const Home& home) {
  CSL_ASSIGN_OR_RETURN(const std::string pem, ReadFile(folder / kCertificateFile));
  return pem != home.certificate_pem;
}

StatusOr<bool> IsRenewalDue(const Home& home, TimePoint now) {
  CSL_ASSIGN_OR_RETURN(const Certificate certificate, Certificate::FromPem(home.certificate_pem));
  return now >= RenewalTime(certificate);
}

bool HasIdentity(const fs::path& folder) { return fs::exists(folder / kCertificateFile); }

}  // namespace consilium
