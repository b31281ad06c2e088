#include "server/rpc/init.h"

#include "certs/authority.h"
#include "certs/home.h"
#include "server/registry/registry.h"
#include "server/rpc/server_identity.h"
#include "server/store/blob_store.h"
#include "server/store/store.h"

namespace consilium {
namespace {

Status WriteAdmin(const std::filesystem::path& folder, const Authority& authority,
                  const ServerOptions& options, TimePoint now) {
  CSL_ASSIGN_OR_RETURN(const PrivateKey key, PrivateKey::Generate());
  Home home{.federation = options.federation,
            .endpoint = fmt::format("{}:{}", options.host, options.port),
            .ca_pem = authority.root_pem()};
  CSL_ASSIGN_OR_RETURN(home.key_pem, key.ToPem());
  CSL_ASSIGN_OR_RETURN(
      home.certificate_pem,
      authority.IssueClient(key, {options.federation, Role::kAdmin, "admin"}, now));
  return WriteHome(folder, home);
}

}  // namespace

Status InitServer(const std::filesystem::path& folder, const ServerOptions& options,
                  TimePoint now) {
  if (HoldsFederation(folder)) {
    return AlreadyExists("{} holds a federation already", folder.string());
  }
  // Nothing of it is removed here: what looks half-made may be the only copy of a CA.
  std::error_code error;
  if (std::filesystem::exists(folder) && !std::filesystem::is_empty(folder, error)) {
    return FailedPrecondition(
        "{} is not empty: if an earlier init was interrupted there, remove the folder; if {} was "
        "lost, put it back",
        folder.string(), kServerFile);
  }
  CSL_RETURN_IF_ERROR(CheckName("federation", options.federation));
  CSL_RETURN_IF_ERROR(CheckHost(options.host));
  CSL_ASSIGN_OR_RETURN(const Authority authority,
                       Authority::Create(folder / kAuthorityFolder, options.federation, now));
  CSL_RETURN_IF_ERROR(RenewServerIdentity(folder, options, authority, now));
  CSL_RETURN_IF_ERROR(WriteAdmin(folder / kAdminFolder, authority, options, now));
  CSL_RETURN_IF_ERROR(Store::Open(folder / kDatabaseFile));
  CSL_RETURN_IF_ERROR(BlobStore::Open(folder));
  return WriteServerOptions(folder, options);
}

Status RenewServer(const std::filesystem::path& folder, const std::filesystem::path& root_folder,
                   TimePoint now) {
  CSL_ASSIGN_OR_RETURN(const ServerOptions options, ReadServerOptions(folder));
  CSL_RETURN_IF_ERROR(CheckOwner(folder));
  const std::filesystem::path authority_folder = folder / kAuthorityFolder;
  if (!root_folder.empty()) {
    CSL_RETURN_IF_ERROR(Authority::RenewIssuing(authority_folder, root_folder, now));
  }
  CSL_ASSIGN_OR_RETURN(const Authority authority, Authority::Load(authority_folder));
  return RenewServerIdentity(folder, options, authority, now);
}

Status RenewAdmin(const std::filesystem::path& folder, TimePoint now) {
  CSL_ASSIGN_OR_RETURN(const ServerOptions options, ReadServerOptions(folder));
  CSL_ASSIGN_OR_RETURN(const Authority authority, Authority::Load(folder / kAuthorityFolder));
  if (!HasIdentity(folder / kAdminFolder)) {
    return WriteAdmin(folder / kAdminFolder, authority, options, now);
  }
  CSL_ASSIGN_OR_RETURN(HomeRenewal renewal, HomeRenewal::Begin(folder / kAdminFolder));
  CSL_ASSIGN_OR_RETURN(
      const std::string pem,
      authority.IssueClient(renewal.key(), {options.federation, Role::kAdmin, "admin"}, now));
  return renewal.Finish(pem);
}

}  // namespace consilium
