#include "client/session/model_shelf.h"

#include <set>

#include "certs/home.h"
#include "common/base/file.h"
#include "common/crypto/digest.h"

namespace consilium {

namespace fs = std::filesystem;

StatusOr<ModelShelf> ModelShelf::Open(const fs::path& folder, bool accept_unsigned) {
  const auto pem = ReadFile(folder / kRootFile);
  if (absl::IsNotFound(pem.status())) {
    return FailedPrecondition("{} is not the folder of a hospital that has joined",
                              folder.string());
  }
  CSL_RETURN_IF_ERROR(pem.status());
  CSL_ASSIGN_OR_RETURN(Certificate root, Certificate::FromPem(*pem));
  CSL_RETURN_IF_ERROR(MakeFolders(folder / "models"));
  return ModelShelf(folder / "models", std::move(root), accept_unsigned);
}

StatusOr<Model> ModelShelf::ReadCurrent(TimePoint now) const {
  if (!fs::exists(current())) {
    return NotFound("{}: no model was pulled yet; see: consilium-client pull", current().string());
  }
  return Read(current(), now);
}

StatusOr<Model> ModelShelf::ReadFormer(TimePoint now) const {
  if (!fs::exists(former())) return NotFound("{}: there is no former model", former().string());
  return Read(former(), now);
}

StatusOr<Model> ModelShelf::Read(const fs::path& path, TimePoint now) const {
  const Status verified = VerifyModelFile(path, root_, now).status();
  if (!verified.ok() && !(absl::IsNotFound(verified) && accept_unsigned_)) return verified;
  return ReadModel(path);
}

Status ModelShelf::Install(const fs::path& fresh) const {
  if (fs::exists(current())) {
    // Another name of the same file; the name `former` then changes hands at once.
    const fs::path link = former().string() + kTemporaryExtension;
    std::error_code error;
    fs::remove(link, error);
    fs::create_hard_link(current(), link, error);
    if (!error) fs::rename(link, former(), error);
    if (error) return ErrnoStatus(error.value(), "cannot keep", former());
  }
  std::error_code error;
  fs::rename(fresh, current(), error);
  if (error) return ErrnoStatus(error.value(), "cannot write", current());
  return SyncFolder(folder_);
}

Status ModelShelf::RemoveOtherManifests() const {
  std::set<std::string> kept;
  for (const fs::path& model : {current(), former()}) {
    const auto file = MappedFile::Open(model);
    if (absl::IsNotFound(file.status())) continue;
    CSL_RETURN_IF_ERROR(file.status());
    kept.insert(Sha256Of(file->bytes()));
  }
  std::error_code error;
  for (const auto& file : fs::directory_iterator(folder_, error)) {
    if (file.path().extension() != kManifestExtension) continue;
    if (!kept.contains(file.path().stem().string())) fs::remove(file.path(), error);
  }
  return OkStatus();
}

Status ModelShelf::Rollback() const { return ExchangeFiles(former(), current()); }

}  // namespace consilium
