#pragma once

// How much of each lung is affected and what follows from it, by a network that labels pixels.

#include <filesystem>
#include <optional>
#include <span>
#include <vector>

#include "client/nn/network.h"
#include "client/preprocess/image.h"
#include "common/base/status.h"
#include "common/model/model_file.h"

namespace consilium {

struct LungExtent {
  double area = 0;      // of the lung, as a share of the picture's square
  double affected = 0;  // share of the lung, as the network expects it
};

struct Extent {
  // The patient's: the right lung is on the picture's left side. Absent where none was found.
  std::optional<LungExtent> right;
  std::optional<LungExtent> left;
  // 0 to 8: four times the affected share of each lung, after the score of Cohen et al. (Cureus
  // 2020), who give each lung 0 to 4, a point a quarter; here between the points too. A lung that
  // was not found counts as the other. Absent where no lung was found.
  std::optional<double> geographic_extent;
  // 0 to 6: the other half of their score, how dense the opacities of each lung are (0 none to 3
  // white). It is told from the extent alone, as three quarters of it, and knows no more than it:
  // of 292 pictures that experts scored for both, the two correlate with 0.90, and the line through
  // zero has that slope.
  std::optional<double> opacity;
};

// From probabilities, side x side x tissues. Lungs are what is likelier lung or opacity than
// neither, in pieces of a hundredth of the picture or more; a single piece that is wider than half
// of the picture is both lungs, and is cut in the middle.
Extent MeasureExtent(std::span<const float> probabilities, int side);

struct MeasuredPicture {
  Extent extent;
  Image image;             // the whole picture
  std::vector<float> map;  // of its largest centred square, side x side: where lungs are, the
                           // probability that they are affected; elsewhere 0
  std::vector<float> probabilities;  // side x side x tissues
};

// Not thread-safe.
class ExtentMeter {
 public:
  // INVALID_ARGUMENT for a model that does not label pixels.
  static StatusOr<ExtentMeter> Create(const Model& model, const std::string& device, int threads);

  // INVALID_ARGUMENT or NOT_FOUND for what is not an image; FAILED_PRECONDITION where the model
  // gives no numbers.
  StatusOr<MeasuredPicture> Measure(const std::filesystem::path& path);

  int side() const { return network_.spec().input_size; }

 private:
  explicit ExtentMeter(Network network) : network_(std::move(network)) {}

  Network network_;
};

}  // namespace consilium
