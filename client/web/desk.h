#pragma once

// What the page and its interface are made of: a model in use, for several callers at a time.

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "client/infer/extent.h"
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
  std::optional<Model> extent_model;  // one that labels pixels
};

// What a DICOM file says of the study that it is of; empty where it does not, and for others.
struct StudyFacts {
  std::string patient;  // a pseudonym, the same for a patient's pictures while the program runs
  std::string date;     // "2020-03-17"
};

// How much of each lung is affected, and where: a PNG as of a ShownMap.
struct ShownExtent {
  Extent extent;
  std::string png;
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

  StudyFacts FactsOf(const std::string& picture) const;
  // UNIMPLEMENTED where there is no model for it.
  StatusOr<ShownExtent> Measure(const std::string& picture);
  bool measures_extent() const { return measures_extent_; }

  // One of the pictures that the calibration knows. NOT_FOUND where there is none of this number,
  // or its file has gone.
  StatusOr<ShownPicture> ShowKnown(std::size_t number) const;

  const ModelInfo& info() const { return info_; }
  const Layout& layout() const { return *layout_; }
  const std::string& digest() const { return digest_; }
  const std::optional<Calibration>& calibration() const { return calibration_; }

 private:
  Desk(const ModelInUse& in_use, Predictor predictor, std::optional<ExtentMeter> meter)
      : info_(in_use.model.info),
        layout_(in_use.model.state.layout),
        digest_(in_use.digest),
        calibration_(in_use.calibration),
        measures_extent_(meter.has_value()),
        predictor_(std::move(predictor)),
        meter_(std::move(meter)) {}

  const ModelInfo info_;
  const std::shared_ptr<const Layout> layout_;
  const std::string digest_;
  const std::optional<Calibration> calibration_;
  const bool measures_extent_;
  Mutex mu_;
  Predictor predictor_ ABSL_GUARDED_BY(mu_);
  std::optional<ExtentMeter> meter_ ABSL_GUARDED_BY(mu_);
};

}  // namespace consilium
