#pragma once

// The folder in which a hospital or a person keeps who it is: federation.yaml (the federation's
// name and where its coordinator answers), ca.crt (the root), identity.crt (the certificate and its
// issuing CA's), and identity.key with mode 0600, encrypted where there is a passphrase (see
// certs/passphrase.h). While a renewal is under way its new key lies in renewal/.

#include <filesystem>
#include <string>

#include "certs/identity.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/crypto/key.h"

namespace consilium {

inline constexpr char kCertificateFile[] = "identity.crt";
inline constexpr char kRootFile[] = "ca.crt";

struct Home {
  std::string federation;
  std::string endpoint;  // HOST:PORT of the coordinator
  std::string ca_pem;
  std::string certificate_pem;
  std::string key_pem;  // secret, not encrypted
};

// Writes all files, the key first; ALREADY_EXISTS if the folder holds an identity.
Status WriteHome(const std::filesystem::path& folder, const Home& home);
// FAILED_PRECONDITION with what to do where the folder holds no identity, or the key does not fit.
StatusOr<Home> ReadHome(const std::filesystem::path& folder);
// The renewal of an identity, in steps that may be cut short anywhere: either key stays usable with
// its own certificate. One at a time: FAILED_PRECONDITION where another process is at it.
class HomeRenewal {
 public:
  static StatusOr<HomeRenewal> Begin(const std::filesystem::path& folder);
  // The new key, on the disk already.
  const PrivateKey& key() const { return key_; }
  // Makes the new key and the certificate that was issued for it the home's.
  Status Finish(const std::string& certificate_pem);

 private:
  HomeRenewal(std::filesystem::path folder, FileDescriptor lock, PrivateKey key)
      : folder_(std::move(folder)), lock_(std::move(lock)), key_(std::move(key)) {}

  std::filesystem::path folder_;
  FileDescriptor lock_;
  PrivateKey key_;
};

// Whether the folder's certificate is another one by now.
StatusOr<bool> HasChanged(const std::filesystem::path& folder, const Home& home);
// Whether a third or less of the certificate's time is left.
StatusOr<bool> IsRenewalDue(const Home& home, TimePoint now);

bool HasIdentity(const std::filesystem::path& folder);

}  // namespace consilium
