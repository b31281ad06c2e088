#pragma once

// Models of its own that a hospital keeps from round to round: of each run as they were after the
// last two rounds that this hospital trained in.

#include <filesystem>
#include <optional>
#include <string>

#include "common/base/status.h"
#include "common/model/model_file.h"

namespace consilium {

// Its state is the file system's; one process at a time may change it.
class KeptModels {
 public:
  // The folder is made when first needed.
  explicit KeptModels(std::filesystem::path folder) : folder_(std::move(folder)) {}

  struct Kept {
    Model model;
    std::filesystem::path file;
  };
  // What was kept after the last round before `round`.
  StatusOr<std::optional<Kept>> Find(const std::string& run, int round) const;
  // Keeps one after this round; of those before it, the newest stays.
  Status Keep(const std::string& run, int round, ModelInfo info, const ModelState& state) const;

 private:
  std::filesystem::path folder_;
};

}  // namespace consilium
