#pragma once

// The signed manifest of a global model: what the coordinator says of it, and what a hospital
// checks before it believes the file. It lies in the model file's folder as DIGEST.manifest, a
// serialised v1::Signed: which one is a model's is said by the model's bytes alone.

#include <cstddef>
#include <filesystem>
#include <span>

#include "certs/signed.h"

namespace consilium {

StatusOr<v1::Signed> SignManifest(const v1::ModelManifest& manifest, const Signer& signer);

// The manifest, once it is known to be the word of the root's coordinator: signed with a
// certificate for signing that was good when it was signed, which is not after `now` (but for
// clocks that differ). PERMISSION_DENIED or INVALID_ARGUMENT otherwise.
StatusOr<v1::ModelManifest> VerifyManifest(const v1::Signed& statement, const Certificate& root,
                                           TimePoint now);

// OK if it is a manifest of this run's model of this round, with that digest.
Status CheckManifestIsOf(const v1::ModelManifest& manifest, const v1::ModelRef& model);

// OK if the file is the one that the manifest speaks of, whole, and bears its network. DATA_LOSS
// where a byte of it differs.
Status CheckModelFile(const v1::ModelManifest& manifest, std::span<const std::byte> file);

inline constexpr char kManifestExtension[] = ".manifest";
Status WriteManifest(const std::filesystem::path& folder, const std::string& digest,
                     const v1::Signed& statement);
// The manifest of a model file, with all of the checks above: the model may be read after it.
// NOT_FOUND where its folder has no manifest of it.
StatusOr<v1::ModelManifest> VerifyModelFile(const std::filesystem::path& model,
                                            const Certificate& root, TimePoint now);

}  // namespace consilium
