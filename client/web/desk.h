#pragma once

// What the page and its interface are made of: a model in use, for several callers at a time.

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "client/infer/predictor.h"
#include "common/base/mutex.h"
#include "common/base/status.h"
#include "common/model/model_file.h"

namespace consilium {

// The model, and what is known of it.
struct ModelInUse {
  Model model;
  std::string digest;  // of its file
  std::optional<Calibration> calibration;
};

// A picture as a browser shows it: its largest centred square, 8 bits.
struct ShownPicture {
  std::string png;
  int width = 0;  // of the whole picture
  int height = 0;
};

// Where a network sees what it says: a PNG with transparency that lies over a ShownPicture.
struct ShownMap {
  std::string png;
  int explained = 0;  // the class
};

// Thread-safe: one picture at a time is in the network, others wait for it.
class Desk {
 public:
  static StatusOr<std::unique_ptr<Desk>> Create(ModelInUse in_use, const PredictOptions& options);

  // The picture is what a PNG, JPEG or DICOM file holds. INVALID_ARGUMENT, which does not name any
  // file, for what is none.
  StatusOr<Prediction> Predict(const std::string& picture);
  StatusOr<ShownPicture> Show(const std::string& picture) const;
  // Of the class given, or else of the one that the model decides for.
  StatusOr<ShownMap> Explain(const std::string& picture, const std::optional<int>& which,
                             ExplanationMethod method, const std::stop_token& stop);

  // One of the pictures that the calibration knows. NOT_FOUND where there is none of this number,
  // or its file has gone.
  StatusOr<ShownPicture> ShowKnown(std::size_t number) const;

  const ModelInfo& info() const { return info_; }
  const Layout& layout() const { return *layout_; }
  const std::string& digest() const { return digest_; }
  const std::optional<Calibration>& calibration() const { return calibration_; }

 private:
  Desk(const ModelInUse& in_use, Predictor predictor)
      : info_(in_use.model.info),
        layout_(in_use.model.state.layout),
        digest_(in_use.digest),
        calibration_(in_use.calibration),
        predictor_(std::move(predictor)) {}

  const ModelInfo info_;
  const std::shared_ptr<const Layout> layout_;
  const std::string digest_;
  const std::optional<Calibration> calibration_;
  Mutex mu_;
  Predictor predictor_ ABSL_GUARDED_BY(mu_);
};

}  // namespace consilium
