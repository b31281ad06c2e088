#pragma once

// What a hospital finds out about a model on its own images before it uses it: how sure the model
// may be, from when on a class is called, and what its pictures look like to it. Stays in the
// hospital.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "client/infer/novelty.h"
#include "common/base/status.h"

namespace consilium {

struct Calibration {
  std::string model_digest;  // SHA-256 of the model file that it is of
  std::vector<std::string> classes;
  std::uint64_t validation_images = 0;

  double temperature = 1;                         // see temperature.h
  double specificity = 0;                         // of the thresholds, on the validation images
  std::vector<std::optional<double>> thresholds;  // a class; on probabilities at the temperature

  KnownPictures known{1, {}};    // training images
  KnownPictures layouts{1, {}};  // of the same
  std::vector<std::string> known_paths;
  std::vector<std::string> known_labels;
  // Beyond them a picture is unlike what the model knows. The share of the validation images that
  // lies beyond each is 1 - kKnownShare.
  double distance_limit = 0;
  double energy_limit = 0;
  double layout_limit = 0;
};
inline constexpr double kKnownShare = 0.99;

// Whole or not at all; readable by its owner alone, since it names patients' images.
Status WriteCalibration(const std::filesystem::path& path, const Calibration& calibration);

// INVALID_ARGUMENT naming the path for what is no calibration, or one of another model.
StatusOr<Calibration> ReadCalibration(const std::filesystem::path& path,
                                      const std::string& model_digest);

}  // namespace consilium
