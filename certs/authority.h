#pragma once

// The federation's certificate authority: a root that everybody trusts and whose key is kept
// offline, and the issuing CA below it that signs the certificates. A folder holds
//
//   ca.crt                    the root's certificate
//   issuing.pem               the issuing CA's key and certificate; mode 0600
//   root/ca.key, root/ca.crt  the root's key: made here, to be taken away
//
// In a federation from before version 0.3 the root issues by itself, and its ca.key lies beside
// ca.crt.

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "certs/identity.h"
#include "common/base/clock.h"
#include "common/crypto/issue.h"

namespace consilium {

// INVALID_ARGUMENT unless a server certificate can name the host: a name, or an IPv4 address.
Status CheckHost(std::string_view host);

// Immutable once made; thread-safe. Certificates come as PEM chains: the certificate, then the
// issuing CA's.
class Authority {
 public:
  static constexpr std::chrono::days kRootValidity{3650};
  static constexpr std::chrono::days kIssuingValidity{1825};
  static constexpr std::chrono::days kCertificateValidity{365};

  // Makes a new root and its issuing CA in the folder. ALREADY_EXISTS if an authority is there.
  static StatusOr<Authority> Create(const std::filesystem::path& folder,
                                    std::string_view federation, TimePoint now);
  static StatusOr<Authority> Load(const std::filesystem::path& folder);
  // Puts another issuing CA in the place of the folder's, signed by the root whose ca.key lies in
  // `root_folder`. Certificates of the former one stay good until it ends. FAILED_PRECONDITION
  // where the root is another one's, or may have none below it.
  static Status RenewIssuing(const std::filesystem::path& folder,
                             const std::filesystem::path& root_folder, TimePoint now);
  // The file that changes when the issuing CA does.
  static constexpr char kIssuingFile[] = "issuing.pem";

  // A client certificate for the public key of a request; what the request says of names is
  // ignored.
  StatusOr<std::string> IssueFromRequest(std::string_view request_pem, const Identity& identity,
                                         TimePoint now) const;
  // A client certificate for a key made here: the first admin's.
  StatusOr<std::string> IssueClient(const PrivateKey& key, const Identity& identity,
                                    TimePoint now) const;
  // The coordinator's own: for its identity and the host name or address that hospitals call.
  // localhost and 127.0.0.1 are always among its names, so that it can be reached on its own
  // machine.
  StatusOr<std::string> IssueServer(const PrivateKey& key, const Identity& identity,
                                    std::string_view host, TimePoint now) const;
  // For the key that signs what the coordinator answers for: models, and its audit trail.
  StatusOr<std::string> IssueSigner(const PrivateKey& key, const Identity& identity,
                                    TimePoint now) const;
  // A list, due again after kRevocationListValidity.
  static constexpr std::chrono::days kRevocationListValidity{7};
  StatusOr<std::string> IssueRevocationList(const std::vector<Revocation>& revocations,
                                            TimePoint now) const;

  const Certificate& root() const { return root_; }
  const std::string& root_pem() const { return root_pem_; }
  const Certificate& issuing() const { return issuer_.certificate; }

 private:
  Authority(Certificate root, std::string root_pem, Issuer issuer, std::string issuing_pem)
      : root_(std::move(root)),
        root_pem_(std::move(root_pem)),
        issuer_(std::move(issuer)),
        issuing_pem_(std::move(issuing_pem)) {}

  StatusOr<std::string> ToChain(const StatusOr<Certificate>& certificate) const;

  Certificate root_;
  std::string root_pem_;
  Issuer issuer_;
  std::string issuing_pem_;  // empty where the root issues by itself
};

}  // namespace consilium
