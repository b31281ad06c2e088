#pragma once

// A model on a hospital's own images: probabilities, the class that the model decides for, and
// where in the picture it sees that.

#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "client/infer/calibration.h"
#include "client/nn/network.h"
#include "client/preprocess/image.h"
#include "client/train/explanation.h"
#include "common/base/status.h"
#include "common/model/model_file.h"

namespace consilium {

// What a calibration says of a prediction.
struct Judgement {
  std::vector<bool> called;  // a class: its probability is at its threshold or above
  double distance = 0;       // from what the model knows, see novelty.h
  double energy = 0;
  double layout_distance = 0;
  bool is_unlike = false;  // beyond a limit: what the model says of the picture means nothing
  std::vector<Neighbour> similar;  // the known pictures that are nearest
};

struct Prediction {
  std::filesystem::path path;
  std::vector<float> probabilities;    // in the order of the model's classes; sum 1; at the
                                       // temperature, where there is a calibration
  int predicted = 0;                   // the class with the highest
  std::vector<float> spread;           // a class: see PredictOptions::draws; else empty
  std::optional<Judgement> judgement;  // where there is a calibration
};

struct ExplainedPrediction {
  Prediction prediction;
  int explained = 0;       // the class that the map speaks for
  Image image;             // the whole picture
  std::vector<float> map;  // of its largest centred square, input_size x input_size, 0 to 1
};

// PNG, JPEG and DICOM files below the paths given, in order; a path that is a file stands for
// itself.
StatusOr<std::vector<std::filesystem::path>> FindImages(
    const std::vector<std::filesystem::path>& paths);

struct PredictOptions {
  std::string device = "auto";  // cpu, cuda or auto
  int threads = 0;              // 0: all cores
  // How sure the model is of its own answer: the standard deviation of each probability over so
  // many slightly turned, shifted, scaled and brightened copies of the picture (Wang et al.,
  // Neurocomputing 2019, section 3.3). The same ones each time. 0: not asked.
  int draws = 0;
};

// Not thread-safe.
class Predictor {
 public:
  // INVALID_ARGUMENT for a model that labels pixels, and for a calibration that is not of the
  // model's classes or features.
  static StatusOr<Predictor> Create(const Model& model, const PredictOptions& options,
                                    std::optional<Calibration> calibration = {});

  // Predicts each image, in order, and hands it on; an unreadable one is handed on as its error and
  // does not stop the rest.
  Status Predict(const std::vector<std::filesystem::path>& images, const std::stop_token& stop,
                 const std::function<void(const StatusOr<Prediction>&)>& on_image);

  // Explains the class given, or else the one that it decides for. INVALID_ARGUMENT for what is not
  // an image.
  StatusOr<ExplainedPrediction> Explain(const std::filesystem::path& path,
                                        const std::optional<int>& which, ExplanationMethod method,
                                        const std::stop_token& stop);

  const ModelSpec& spec() const { return network_.spec(); }
  const std::optional<Calibration>& calibration() const { return calibration_; }

 private:
  Predictor(Network network, const PredictOptions& options, std::optional<Calibration> calibration)
      : network_(std::move(network)), draws_(options.draws), calibration_(std::move(calibration)) {}

  // `images`: the squares of these files, or why they could not be read.
  Status PredictSome(std::span<const std::filesystem::path> paths,
                     std::vector<StatusOr<Image>> images,
                     const std::function<void(const StatusOr<Prediction>&)>& on_image);
  // Predictions without paths, one a picture, all of them input_size x input_size.
  StatusOr<std::vector<Prediction>> PredictPictures(const std::vector<Image>& pictures);
  Status AddSpread(const std::vector<Image>& pictures, std::vector<Prediction>& predictions);
  std::vector<float> Probabilities(std::span<const float> logits) const;
  Judgement Judge(const Prediction& prediction, const Image& picture, std::span<const float> logits,
                  std::span<const float> features) const;

  Network network_;
  int draws_ = 0;
  std::optional<Calibration> calibration_;
};

}  // namespace consilium
