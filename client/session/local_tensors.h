#pragma once

// What a hospital keeps of its own network where a plan has local tensors: in local/ of its folder.

#include <filesystem>
#include <string>

#include "client/session/kept_models.h"
#include "common/base/status.h"
#include "common/model/model_file.h"

namespace consilium {

// See KeptModels on files and processes.
class LocalTensors {
 public:
  explicit LocalTensors(const std::filesystem::path& folder) : kept_(folder / "local") {}

  // Puts what was kept after the last round before `round` into the model, or leaves it as it is
  // where nothing was. Models without local tensors stay as they are.
  Status PutInto(const std::string& run, int round, Model& model) const;
  // The same of the last round of all: the network that this hospital uses.
  Status PutLastInto(Model& model) const;

  // Keeps a network's local tensors after it was trained in this round.
  Status Keep(const std::string& run, int round, const Model& model) const;

 private:
  KeptModels kept_;
};

}  // namespace consilium
