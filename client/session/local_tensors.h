#pragma once

// What a hospital keeps of its own network where a plan has local tensors: in local/ of its folder,
// of each run as it was after the last two rounds that this hospital trained in.

#include <filesystem>
#include <string>

#include "common/base/status.h"
#include "common/model/model_file.h"

namespace consilium {

// Its state is the file system's; one process at a time may change it.
class LocalTensors {
 public:
  // `folder` is the hospital's; local/ is made when first needed.
  explicit LocalTensors(const std::filesystem::path& folder) : folder_(folder / "local") {}

  // Puts what was kept after the last round before `round` into the model, or leaves it as it is
  // where nothing was. Models without local tensors stay as they are.
  Status PutInto(const std::string& run, int round, Model& model) const;
  // The same of the last round of all: the network that this hospital uses.
  Status PutLastInto(Model& model) const;

  // Keeps a network's local tensors after it was trained in this round; files of rounds before the
  // last one go.
  Status Keep(const std::string& run, int round, const Model& model) const;

 private:
  std::filesystem::path folder_;
};

}  // namespace consilium
