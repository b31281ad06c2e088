#pragma once

// What the updates of a run have left unsent (see top_k in common/encoding/update_encoding.h), in
// residual/ of a hospital's folder.

#include <filesystem>
#include <string>
#include <vector>

#include "client/session/kept_models.h"
#include "common/base/status.h"
#include "common/model/model_file.h"

namespace consilium {

// See KeptModels on files and processes.
class Residuals {
 public:
  explicit Residuals(const std::filesystem::path& folder) : kept_(folder / "residual") {}

  // What the last round before `round` has left, in the model's layout; empty where there was none.
  // INVALID_ARGUMENT where it is of another layout or not finite.
  StatusOr<std::vector<float>> Load(const std::string& run, int round, const Model& trained) const;

  // Keeps what this round has left.
  Status Keep(const std::string& run, int round, const Model& trained,
              const std::vector<float>& residual) const;

 private:
  KeptModels kept_;
};

}  // namespace consilium
