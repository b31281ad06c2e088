#include "client/preprocess/image.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "client/preprocess/dicom.h"
#include "client/preprocess/image_format.h"
#include "client/preprocess/picture_internal.h"
#include "common/base/file.h"

namespace consilium {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{1} << 30;
constexpr double kWhite = 65535;

// An empty picture where the file is none that this build reads.
cv::Mat Decode(std::span<const std::byte> file) {
  if (!IsWholePngOrJpeg(file)) return {};
  const cv::Mat bytes(1, static_cast<int>(file.size()), CV_8U, const_cast<std::byte*>(file.data()));
  return cv::imdecode(bytes, cv::IMREAD_UNCHANGED | cv::IMREAD_IGNORE_ORIENTATION);
}

cv::Mat ToGrey(const cv::Mat& image) {
  if (image.channels() == 1) return image;
  cv::Mat grey;
  cv::cvtColor(image, grey, image.channels() == 4 ? cv::COLOR_BGRA2GRAY : cv::COLOR_BGR2GRAY);
  return grey;
}

// To the whole 16-bit range.
cv::Mat Stretch(const cv::Mat& grey) {
  cv::Mat wide;
  if (grey.depth() == CV_8U) {
    grey.convertTo(wide, CV_16U, kWhite / 255);
    return wide;
  }
  double low = 0;
  double high = 0;
  cv::minMaxLoc(grey, &low, &high);
  const double scale = high > low ? kWhite / (high - low) : 1;
  grey.convertTo(wide, CV_16U, scale, -low * scale);
  return wide;
}

// OpenCV takes no pointer to const; no caller writes through the result.
cv::Mat View(std::span<const std::uint16_t> pixels, int width, int height) {
  return {height, width, CV_16U, const_cast<std::uint16_t*>(pixels.data())};
}

// Where each output pixel comes from: rotation and scale about the centre, then a shift.
cv::Mat DrawTransform(const Augmentation& augmentation, int side, Random& random) {
  const double angle = random.Uniform(-1, 1) * augmentation.rotation_degrees;
  const double scale = 1 + random.Uniform(-1, 1) * augmentation.scale;
  const auto centre = static_cast<float>((side - 1) / 2.0);
  cv::Mat transform = cv::getRotationMatrix2D({centre, centre}, angle, scale);
  transform.at<double>(0, 2) += random.Uniform(-1, 1) * augmentation.shift * side;
  transform.at<double>(1, 2) += random.Uniform(-1, 1) * augmentation.shift * side;
  return transform;
}

cv::Mat Moved(const cv::Mat& image, const cv::Mat& transform, bool flip, int interpolation) {
  cv::Mat warped;
  cv::warpAffine(image, warped, transform, image.size(), interpolation, cv::BORDER_REPLICATE);
  if (flip) cv::flip(warped, warped, 1);
  return warped;
}

cv::Mat Warp(const cv::Mat& image, const Augmentation& augmentation, Random& random,
             std::span<std::uint8_t> pixel_labels) {
  const cv::Mat transform = DrawTransform(augmentation, image.rows, random);
  const bool flip = augmentation.horizontal_flip && random.Below(2) == 1;
  if (!pixel_labels.empty()) {
    cv::Mat labels(image.rows, image.cols, CV_8U, pixel_labels.data());
    Moved(labels, transform, flip, cv::INTER_NEAREST).copyTo(labels);
  }
  return Moved(image, transform, flip, cv::INTER_LINEAR);
}

// "scan.dcm#3" is frame 3 of scan.dcm, unless there is a file of that very name; 0: none is named.
struct NamedFrame {
  std::filesystem::path file;
  std::uint32_t frame = 0;
};
NamedFrame SplitFrame(const std::filesystem::path& named) {
  const std::string& text = named.native();
  const auto mark = text.rfind('#');
  std::uint32_t frame = 0;
  std::error_code error;
  if (mark == std::string::npos || std::filesystem::exists(named, error)) return {named, 0};
  const auto [end, failed] =
      std::from_chars(text.data() + mark + 1, text.data() + text.size(), frame);
  if (failed != std::errc() || end != text.data() + text.size()) return {named, 0};
  return {text.substr(0, mark), frame};
}

void CutOut(cv::Mat& plane, double share, Random& random) {
  const int hole = static_cast<int>(std::lround(share * plane.rows));
  const auto at = [&] { return static_cast<int>(random.Below(plane.rows)) - hole / 2; };
  const int x = at();
  const int y = at();
  plane(cv::Rect(x, y, hole, hole) & cv::Rect(0, 0, plane.cols, plane.rows)).setTo(0);
}

}  // namespace

Image FromMat(const cv::Mat& mat) {
  Image image{.width = mat.cols, .height = mat.rows, .pixels = {}};
  image.pixels.reserve(mat.total());
  for (int y = 0; y < mat.rows; ++y) {
    const auto* row = mat.ptr<std::uint16_t>(y);
    image.pixels.insert(image.pixels.end(), row, row + mat.cols);
  }
  return image;
}

bool IsImageFile(const std::filesystem::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (extension.empty()) return IsDicomFile(path);
  constexpr std::array<std::string_view, 5> kKnown = {".png", ".jpg", ".jpeg", ".dcm", ".dicom"};
  return std::ranges::find(kKnown, extension) != kKnown.end();
}

StatusOr<Image> ReadImage(const std::filesystem::path& named, const Window& window) {
  const NamedFrame name = SplitFrame(named);
  const std::filesystem::path& path = name.file;
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) {
    return NotFound("{}: no such file, or not to be read", named.string());
  }
  CSL_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  if (file.bytes().size() > kMaxFileBytes) {
    return InvalidArgument("{}: {} bytes, want at most {}", path.string(), file.bytes().size(),
                           kMaxFileBytes);
  }
  if (IsDicom(file.bytes())) {
    auto image = CatchAsStatus(path.string(), [&] { return ReadDicom(path, name.frame, window); });
    if (!image.ok()) return image.status();
    return *std::move(image);
  }
  if (name.frame != 0) {
    return InvalidArgument("{}: only a DICOM file has frames", named.string());
  }
  if (const Sides sides = SidesOf(file.bytes());
      std::max(sides.width, sides.height) > std::uint32_t{kMaxSide}) {
    return InvalidArgument("{}: {} x {} pixels, want sides of {} to {}", path.string(), sides.width,
                           sides.height, kMinSide, kMaxSide);
  }
  const auto decoded = CatchAsStatus(path.string(), [&] { return Decode(file.bytes()); });
  if (!decoded.ok() || decoded->empty() ||
      (decoded->depth() != CV_8U && decoded->depth() != CV_16U)) {
    return InvalidArgument("{}: not a whole, readable PNG, JPEG or DICOM image", path.string());
  }
  if (std::min(decoded->cols, decoded->rows) < kMinSide ||
      std::max(decoded->cols, decoded->rows) > kMaxSide) {
    return InvalidArgument("{}: {} x {} pixels, want sides of {} to {}", path.string(),
                           decoded->cols, decoded->rows, kMinSide, kMaxSide);
  }
  return CatchAsStatus(path.string(), [&] { return FromMat(Stretch(ToGrey(*decoded))); });
}

Image CropAndResize(const Image& image, int side) {
  const int square = std::min(image.width, image.height);
  const cv::Rect centre((image.width - square) / 2, (image.height - square) / 2, square, square);
  const cv::Mat cropped = View(image.pixels, image.width, image.height)(centre);
  cv::Mat resized;
  cv::resize(cropped, resized, {side, side}, 0, 0,
             side < square ? cv::INTER_AREA : cv::INTER_CUBIC);
  return FromMat(resized);
}

void ToNetworkInput(std::span<const std::uint16_t> pixels, int side,
                    const Normalisation& normalisation, const Augmentation& augmentation,
                    Random& random, int channels, std::span<float> out,
                    std::span<std::uint8_t> pixel_labels) {
  cv::Mat image = View(pixels, side, side);
  double contrast = 1;
  double brightness = 0;
  if (!augmentation.IsNone()) {
    image = Warp(image, augmentation, random, pixel_labels);
    contrast += random.Uniform(-1, 1) * augmentation.contrast;
    brightness = random.Uniform(-1, 1) * augmentation.brightness;
  }
  // ((x / white - 1/2) contrast + 1/2 + brightness - mean) / stddev, as one multiplication and
  // addition.
  const double gain = contrast / (kWhite * normalisation.stddev);
  const double offset =
      (0.5 * (1 - contrast) + brightness - normalisation.mean) / normalisation.stddev;
  const std::size_t area = static_cast<std::size_t>(side) * static_cast<std::size_t>(side);
  cv::Mat plane(side, side, CV_32F, out.data());
  image.convertTo(plane, CV_32F, gain, offset);
  if (augmentation.cutout > 0) CutOut(plane, augmentation.cutout, random);
  for (int c = 1; c < channels; ++c) {
    std::copy_n(out.begin(), area, out.begin() + static_cast<std::ptrdiff_t>(area) * c);
  }
}

}  // namespace consilium
