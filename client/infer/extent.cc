#include "client/infer/extent.h"

#include <algorithm>
#include <opencv2/imgproc.hpp>

#include "client/infer/picture_batch.h"
#include "client/train/trainer.h"

namespace consilium {
namespace {

constexpr std::size_t kTissueCount = kTissues.size();
constexpr std::size_t kLung = 1;
constexpr std::size_t kOpacity = 2;
constexpr double kLeastPiece = 0.01;
constexpr double kPointsOfLung = 4;
constexpr double kOpacityOfExtent = 0.75;

// What is summed over a lung's pixels.
struct Sum {
  double pixels = 0;
  double affected = 0;
};

std::optional<LungExtent> ExtentOf(const Sum& sum, double area) {
  if (sum.pixels == 0) return std::nullopt;
  return LungExtent{.area = sum.pixels / area, .affected = sum.affected / sum.pixels};
}

// Of a pixel that is lung, how likely it is affected.
float Affected(std::span<const float> p) {
  const float lung = p[kLung] + p[kOpacity];
  return lung > 0 ? p[kOpacity] / lung : 0;
}

// The column left of which a piece of lung is the patient's right one.
class Sides {
 public:
  Sides(const cv::Mat& stats, const cv::Mat& centroids, double least, int side) {
    int first = side;
    int last = 0;
    for (int piece = 1; piece < stats.rows; ++piece) {  // 0 is what is no lung
      if (stats.at<int>(piece, cv::CC_STAT_AREA) < least) continue;
      pieces_.push_back(piece);
      first = std::min(first, stats.at<int>(piece, cv::CC_STAT_LEFT));
      last = std::max(
          last, stats.at<int>(piece, cv::CC_STAT_LEFT) + stats.at<int>(piece, cv::CC_STAT_WIDTH));
    }
    const bool is_one_lung = pieces_.size() == 1 && last - first <= side / 2;
    middle_ = is_one_lung ? side / 2.0 : (first + last) / 2.0;
    is_cut_ = pieces_.size() == 1 && !is_one_lung;
    for (int piece = 0; piece < stats.rows; ++piece) {
      is_right_.push_back(centroids.at<double>(piece, 0) < middle_);
    }
  }

  bool IsLung(int piece) const { return std::ranges::count(pieces_, piece) > 0; }
  bool IsRight(int piece, int column) const {
    return is_cut_ ? column < middle_ : is_right_[static_cast<std::size_t>(piece)];
  }

 private:
  std::vector<int> pieces_;
  std::vector<bool> is_right_;
  double middle_ = 0;
  bool is_cut_ = false;
};

cv::Mat LungField(std::span<const float> probabilities, int side) {
  cv::Mat field(side, side, CV_8U);
  for (std::size_t i = 0; i < field.total(); ++i) {
    field.data[i] = probabilities[i * kTissueCount] < 0.5F ? 255 : 0;
  }
  return field;
}

}  // namespace

Extent MeasureExtent(std::span<const float> probabilities, int side) {
  cv::Mat pieces;
  cv::Mat stats;
  cv::Mat centroids;
  cv::connectedComponentsWithStats(LungField(probabilities, side), pieces, stats, centroids);
  const double area = static_cast<double>(side) * side;
  const Sides sides(stats, centroids, kLeastPiece * area, side);
  Sum right;
  Sum left;
  for (int y = 0; y < side; ++y) {
    for (int x = 0; x < side; ++x) {
      const int piece = pieces.at<int>(y, x);
      if (piece == 0 || !sides.IsLung(piece)) continue;
      const auto pixel = static_cast<std::size_t>(y) * static_cast<std::size_t>(side) +
                         static_cast<std::size_t>(x);
      Sum& sum = sides.IsRight(piece, x) ? right : left;
      sum.pixels += 1;
      sum.affected += Affected(probabilities.subspan(pixel * kTissueCount, kTissueCount));
    }
  }
  Extent extent{.right = ExtentOf(right, area), .left = ExtentOf(left, area)};
  if (!extent.right && !extent.left) return extent;
  const LungExtent& on_right = extent.right ? *extent.right : *extent.left;
  const LungExtent& on_left = extent.left ? *extent.left : *extent.right;
  extent.geographic_extent = kPointsOfLung * (on_right.affected + on_left.affected);
  extent.opacity = kOpacityOfExtent * *extent.geographic_extent;
  return extent;
}

StatusOr<ExtentMeter> ExtentMeter::Create(const Model& model, const std::string& device,
                                          int threads) {
  if (!LabelsPixels(model.info.spec)) {
    return InvalidArgument("a {} says what a picture shows, not where: want a unet",
                           model.info.spec.architecture);
  }
  SetThreads(threads);
  CSL_ASSIGN_OR_RETURN(Network network, Network::Create(model.info.spec, /*seed=*/0));
  CSL_RETURN_IF_ERROR(network.Load(model.state));
  CSL_RETURN_IF_ERROR(network.MoveTo(ResolveDevice(device)));
  return ExtentMeter(std::move(network));
}

StatusOr<MeasuredPicture> ExtentMeter::Measure(const std::filesystem::path& path) {
  const ModelSpec& spec = network_.spec();
  MeasuredPicture measured;
  CSL_ASSIGN_OR_RETURN(measured.image, ReadImage(path, {spec.window_center, spec.window_width}));
  const Batch batch = ToBatch({CropAndResize(measured.image, spec.input_size)}, spec);
  CSL_ASSIGN_OR_RETURN(measured.probabilities, Predict(network_, batch));
  if (!AllFinite(measured.probabilities)) {
    return FailedPrecondition("the model's scores are not finite: it has diverged");
  }
  const std::span<const float> p = measured.probabilities;
  for (std::size_t i = 0; i < p.size(); i += kTissueCount) {
    const auto pixel = p.subspan(i, kTissueCount);
    measured.map.push_back(pixel[0] < 0.5F ? Affected(pixel) : 0);
  }
  measured.extent = MeasureExtent(p, spec.input_size);
  return measured;
}

}  // namespace consilium
