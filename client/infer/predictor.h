#pragma once

// A model on a hospital's own images: probabilities and the class that the model decides for.

#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/model/model_file.h"

namespace consilium {

struct Prediction {
  std::filesystem::path path;
  std::vector<float> probabilities;  // in the order of the model's classes; sum 1
  int predicted = 0;                 // the class with the highest
};

// PNG and JPEG files below the paths given, in order; a path that is a file stands for itself.
StatusOr<std::vector<std::filesystem::path>> FindImages(
    const std::vector<std::filesystem::path>& paths);

// Predicts each image, in order, and hands it on; an unreadable one is handed on as its error and
// does not stop the rest. `device`: cpu, cuda or auto. `threads`: 0 for all cores.
struct PredictOptions {
  std::string device = "auto";
  int threads = 0;
};
Status PredictImages(const Model& model, const std::vector<std::filesystem::path>& images,
                     const PredictOptions& options, const std::stop_token& stop,
                     const std::function<void(const StatusOr<Prediction>&)>& on_image);

}  // namespace consilium
