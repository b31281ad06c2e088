#include "server/rpc/server_identity.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/mman.h>
#include <unistd.h>

#include "certs/expiry.h"
#include "certs/key_file.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;

constexpr char kIdentityFile[] = "server.pem";

fs::file_time_type TimeOf(const fs::path& path) {
  std::error_code error;
  return fs::last_write_time(path, error);
}

StatusOr<FileDescriptor> MemoryFile() {
  FileDescriptor memory(::memfd_create("consilium-identity", MFD_CLOEXEC));
  if (memory.get() < 0) return ErrnoStatus(errno, "cannot make", "a file in memory");
  return memory;
}

}  // namespace

Status RenewServerIdentity(const fs::path& folder, const ServerOptions& options,
                           const Authority& authority, TimePoint now) {
  CSL_ASSIGN_OR_RETURN(const PrivateKey key, PrivateKey::Generate());
  CSL_ASSIGN_OR_RETURN(
      const std::string chain_pem,
      authority.IssueServer(key, {options.federation, Role::kCoordinator, "coordinator"},
                            options.host, now));
  return WriteKeyFile(folder / kIdentityFile, key, chain_pem + authority.root_pem());
}

StatusOr<std::unique_ptr<ServerIdentity>> ServerIdentity::Open(const fs::path& folder,
                                                               const ServerOptions& options,
                                                               Registry& registry, TimePoint now) {
  CSL_ASSIGN_OR_RETURN(FileDescriptor memory, MemoryFile());
  if (!fs::exists(folder / kIdentityFile)) {
    CSL_RETURN_IF_ERROR(RenewServerIdentity(folder, options, registry.authority(), now));
    std::error_code error;  // of a version before 0.3, and of no use any more
    fs::remove(folder / "server.key", error);
    fs::remove(folder / "server.crt", error);
  }
  std::unique_ptr<ServerIdentity> identity(
      new ServerIdentity(folder, options, registry, std::move(memory)));
  identity->issuing_ = TimeOf(folder / kAuthorityFolder / Authority::kIssuingFile);
  CSL_RETURN_IF_ERROR(identity->Load());
  CSL_RETURN_IF_ERROR(identity->Refresh(now));  // it may be due
  return identity;
}

Status ServerIdentity::Refresh(TimePoint now) {
  const fs::path authority_folder = folder_ / kAuthorityFolder;
  const auto issuing = TimeOf(authority_folder / Authority::kIssuingFile);
  if (issuing != issuing_) {
    CSL_ASSIGN_OR_RETURN(Authority authority, Authority::Load(authority_folder));
    registry_.SetAuthority(std::move(authority));
    issuing_ = issuing;
    spdlog::info("certificates are issued by another issuing CA from now on");
  }
  if (now >= renew_at_) {
    CSL_RETURN_IF_ERROR(RenewServerIdentity(folder_, options_, registry_.authority(), now));
    return Load();  // whatever the file's time, which is to some milliseconds
  }
  return TimeOf(folder_ / kIdentityFile) == loaded_ ? OkStatus() : Load();
}

std::string ServerIdentity::identity_file() const {
  return fmt::format("/proc/self/fd/{}", memory_.get());
}

Status ServerIdentity::Load() {
  const fs::path file = folder_ / kIdentityFile;
  const auto time = TimeOf(file);
  CSL_ASSIGN_OR_RETURN(const KeyFile held, ReadKeyFile(file));
  CSL_ASSIGN_OR_RETURN(std::string text, held.key.ToPem());
  for (const Certificate& certificate : held.chain) {
    CSL_ASSIGN_OR_RETURN(const std::string certificate_pem, certificate.ToPem());
    text += certificate_pem;
  }
  // In the place of the former file at once: no reader finds half of one.
  CSL_ASSIGN_OR_RETURN(const FileDescriptor fresh, MemoryFile());
  CSL_RETURN_IF_ERROR(WriteAll(fresh.get(), AsBytes(text), "the identity in memory"));
  if (::dup3(fresh.get(), memory_.get(), O_CLOEXEC) < 0) {
    return ErrnoStatus(errno, "cannot replace", "the identity in memory");
  }
  loaded_ = time;
  renew_at_ = RenewalTime(held.chain.front());
  return OkStatus();
}

}  // namespace consilium
