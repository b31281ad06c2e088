#pragma once

// SCAFFOLD in a federation: the coordinator's control variate as it came, and this hospital's own,
// which stays in control/ of its folder.

#include <filesystem>
#include <string>
#include <vector>

#include "client/session/kept_models.h"
#include "common/base/status.h"
#include "common/model/model_file.h"

namespace consilium {

// What one training is shifted by. Empty: 0.
struct ControlVariatePair {
  std::vector<float> c;    // the coordinator's
  std::vector<float> own;  // this hospital's, after its last training of the run
};

// See KeptModels on files and processes.
class ControlVariates {
 public:
  explicit ControlVariates(const std::filesystem::path& folder) : kept_(folder / "control") {}

  // For a training of this round that begins with the model. `blob` is the coordinator's, checked
  // against its digest, or empty. INVALID_ARGUMENT where one of the two is not of the model's
  // layout or not finite.
  StatusOr<ControlVariatePair> Load(const std::string& run, int round, const Model& global,
                                    const std::string& blob) const;

  // Keeps what this hospital's own is after the training made `after` of the model, with that
  // reach.
  Status Keep(const std::string& run, int round, const Model& global, const ModelState& after,
              const ControlVariatePair& before, double reach) const;

 private:
  KeptModels kept_;
};

}  // namespace consilium
