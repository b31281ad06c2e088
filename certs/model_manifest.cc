#include "certs/model_manifest.h"

#include "common/base/file.h"
#include "common/crypto/digest.h"
#include "common/model/model_file.h"
#include "common/wire/convert.h"

namespace consilium {
namespace {

constexpr std::chrono::hours kClockSkew{24};
constexpr std::size_t kMaxEnvelopeBytes = 128 << 10;

// CheckModelFile of a file whose digest is known.
Status CheckFile(const v1::ModelManifest& manifest, const std::string& digest,
                 std::span<const std::byte> file) {
  if (file.size() != manifest.size_bytes() || digest != manifest.digest()) {
    return DataLoss("the model is not the one of its manifest (sha256 {}, {} bytes)",
                    manifest.digest(), manifest.size_bytes());
  }
  CSL_ASSIGN_OR_RETURN(const ModelHeader header, ParseModelHeader(file));
  CSL_ASSIGN_OR_RETURN(const ModelSpec spec, FromProto(manifest.model()));
  if (header.info.spec == spec) return OkStatus();
  return InvalidArgument("the manifest names another network than the model's");
}

}  // namespace

StatusOr<v1::Signed> SignManifest(const v1::ModelManifest& manifest, const Signer& signer) {
  return SignStatement(kModelManifest, manifest.SerializeAsString(), signer);
}

StatusOr<v1::ModelManifest> VerifyManifest(const v1::Signed& statement, const Certificate& root,
                                           TimePoint now) {
  v1::ModelManifest manifest;
  if (statement.statement().size() > kMaxStatementBytes ||
      !manifest.ParseFromString(statement.statement())) {
    return InvalidArgument("the model's manifest cannot be read");
  }
  const TimePoint at = FromUnixMillis(manifest.signed_unix_ms());
  CSL_ASSIGN_OR_RETURN(const Identity signer,
                       VerifyStatement(kModelManifest, statement, root, Purpose::kSigning, at));
  if (signer.role != Role::kCoordinator || signer.federation != manifest.federation()) {
    return PermissionDenied("the model's manifest is signed by {}, not by its coordinator",
                            signer.ToUri());
  }
  if (at > now + kClockSkew) {
    return PermissionDenied("the model's manifest was signed in the future; is this clock right?");
  }
  if (!IsDigest(manifest.digest())) {
    return InvalidArgument("the model's manifest names no digest");
  }
  return manifest;
}

Status CheckManifestIsOf(const v1::ModelManifest& manifest, const v1::ModelRef& model) {
  if (manifest.run_id() == model.run_id() && manifest.round() == model.round() &&
      manifest.digest() == model.digest()) {
    return OkStatus();
  }
  return PermissionDenied(
      "the manifest is of {} round {} with sha256 {}, not of {} round {} with {}",
      manifest.run_id(), manifest.round(), manifest.digest(), model.run_id(), model.round(),
      model.digest());
}

Status CheckModelFile(const v1::ModelManifest& manifest, std::span<const std::byte> file) {
  return CheckFile(manifest, Sha256Of(file), file);
}

Status WriteManifest(const std::filesystem::path& folder, const std::string& digest,
                     const v1::Signed& statement) {
  return WriteFileAtomically(folder / (digest + kManifestExtension), statement.SerializeAsString());
}

StatusOr<v1::ModelManifest> VerifyModelFile(const std::filesystem::path& model,
                                            const Certificate& root, TimePoint now) {
  CSL_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(model));
  const std::string digest = Sha256Of(file.bytes());
  const std::filesystem::path path = model.parent_path() / (digest + kManifestExtension);
  const auto bytes = ReadFile(path, kMaxStatementBytes + kMaxEnvelopeBytes);
  if (absl::IsNotFound(bytes.status())) {
    return NotFound("{}: there is no manifest of these bytes beside it ({})", model.string(),
                    path.filename().string());
  }
  CSL_RETURN_IF_ERROR(bytes.status());
  v1::Signed statement;
  if (!statement.ParseFromString(*bytes)) {
    return InvalidArgument("{}: not a model's manifest", path.string());
  }
  auto manifest = VerifyManifest(statement, root, now);
  if (!manifest.ok()) return Annotate(manifest.status(), path.string());
  CSL_RETURN_IF_ERROR(Annotate(CheckFile(*manifest, digest, file.bytes()), model.string()));
  return manifest;
}

}  // namespace consilium
