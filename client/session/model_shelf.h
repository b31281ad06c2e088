#pragma once

// The global models that a hospital holds, in models/ of its folder: the one in use, and the one
// that it took the place of.

#include <filesystem>

#include "certs/model_manifest.h"
#include "common/base/status.h"
#include "common/model/model_file.h"

namespace consilium {

// Its state is the file system's; one process at a time may change it.
class ModelShelf {
 public:
  // Of a hospital that has joined. `accept_unsigned`: models may lack a manifest, where their
  // coordinator signs none yet.
  static StatusOr<ModelShelf> Open(const std::filesystem::path& folder, bool accept_unsigned);

  const std::filesystem::path& folder() const { return folder_; }
  std::filesystem::path current() const { return folder_ / "pulled.safetensors"; }
  std::filesystem::path former() const { return folder_ / "former.safetensors"; }

  // The model in use, read once its manifest was found to be the coordinator's word on these bytes.
  StatusOr<Model> ReadCurrent(TimePoint now) const;
  // The same of the former model.
  StatusOr<Model> ReadFormer(TimePoint now) const;

  // Puts a file of this folder in the place of the model in use, which becomes the former one. A
  // crash leaves the one or the other.
  Status Install(const std::filesystem::path& fresh) const;
  // Removes the manifests of models that are neither in use nor the former one.
  Status RemoveOtherManifests() const;
  // Puts the former model, which must be there, back into use and keeps the other as the former
  // one.
  Status Rollback() const;

 private:
  ModelShelf(std::filesystem::path folder, Certificate root, bool accept_unsigned)
      : folder_(std::move(folder)), root_(std::move(root)), accept_unsigned_(accept_unsigned) {}

  StatusOr<Model> Read(const std::filesystem::path& path, TimePoint now) const;

  std::filesystem::path folder_;
  Certificate root_;
  bool accept_unsigned_ = false;
};

}  // namespace consilium
