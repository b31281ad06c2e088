#include "client/infer/overlay.h"

#include <algorithm>
#include <opencv2/imgproc.hpp>
#include <vector>

#include "client/preprocess/picture_internal.h"

namespace consilium {
namespace {

constexpr int kLeastSide = 256;
constexpr int kMostSide = 1024;
constexpr double kStrength = 0.65;  // of the greatest value's colour over the picture

cv::Mat Colours(const cv::Mat& values) {  // CV_32F, 0 to 1
  cv::Mat bytes;
  values.convertTo(bytes, CV_8U, 255);
  cv::Mat colours;
  cv::applyColorMap(bytes, colours, cv::COLORMAP_CIVIDIS);
  return colours;
}

cv::Mat ToColour(const Image& grey) {
  cv::Mat colour;
  cv::cvtColor(ToBytes(grey), colour, cv::COLOR_GRAY2BGR);
  return colour;
}

int ShownSide(const Image& picture) {
  return std::clamp(std::min(picture.width, picture.height), kLeastSide, kMostSide);
}

cv::Mat Enlarge(std::span<const float> map, int map_side, int side) {
  const cv::Mat small(map_side, map_side, CV_32F, const_cast<float*>(map.data()));
  cv::Mat values;
  cv::resize(small, values, {side, side}, 0, 0, cv::INTER_LINEAR);
  return values;
}

// picture + strength * value * (colour - picture), in place.
void Blend(cv::Mat& picture, const cv::Mat& colours, const cv::Mat& values) {
  picture.forEach<cv::Vec3b>([&](cv::Vec3b& pixel, const int at[]) {
    const double share =
        kStrength * static_cast<double>(std::clamp(values.at<float>(at[0], at[1]), 0.0F, 1.0F));
    const auto& colour = colours.at<cv::Vec3b>(at[0], at[1]);
    for (int c = 0; c < 3; ++c) {
      pixel[c] = cv::saturate_cast<std::uint8_t>(pixel[c] + share * (colour[c] - pixel[c]));
    }
  });
}

// From 1 at the top to 0.
cv::Mat Scale(int height) {
  constexpr int kBar = 16;
  constexpr int kMargin = 12;
  constexpr int kText = 40;
  cv::Mat scale(height, kMargin + kBar + kText, CV_8UC3, cv::Scalar::all(255));
  const int length = height - 2 * kMargin;
  cv::Mat ramp(length, kBar, CV_32F);
  for (int y = 0; y < length; ++y) ramp.row(y) = 1 - static_cast<double>(y) / (length - 1);
  Colours(ramp).copyTo(scale(cv::Rect(kMargin, kMargin, kBar, length)));
  for (const auto& [text, share] : {std::pair{"1", 0.0}, {"0.5", 0.5}, {"0", 1.0}}) {
    cv::putText(scale, text, {kMargin + kBar + 4, kMargin + 4 + static_cast<int>(share * length)},
                cv::FONT_HERSHEY_SIMPLEX, 0.4, cv::Scalar::all(0), 1, cv::LINE_AA);
  }
  return scale;
}

}  // namespace

Status WriteOverlay(const std::filesystem::path& path, const Image& picture,
                    std::span<const float> map, int map_side) {
  const auto draw = [&] {
    const int side = ShownSide(picture);
    cv::Mat shown = ToColour(CropAndResize(picture, side));
    const cv::Mat values = Enlarge(map, map_side, side);
    Blend(shown, Colours(values), values);
    cv::Mat all;
    cv::hconcat(shown, Scale(side), all);
    return all;
  };
  CSL_ASSIGN_OR_RETURN(const cv::Mat overlay, CatchAsStatus(path.string(), draw));
  return WritePng(path, overlay, kPrivateMode);
}

StatusOr<std::string> EncodeSquare(const Image& picture) {
  CSL_ASSIGN_OR_RETURN(const cv::Mat square, CatchAsStatus("drawing a picture", [&] {
                         return ToBytes(CropAndResize(picture, ShownSide(picture)));
                       }));
  return EncodePng(square);
}

StatusOr<std::string> EncodeMap(const Image& picture, std::span<const float> map, int map_side) {
  const auto draw = [&] {
    const cv::Mat values = Enlarge(map, map_side, ShownSide(picture));
    cv::Mat opacity;
    values.convertTo(opacity, CV_8U, 255);
    cv::Mat with_opacity;
    std::vector<cv::Mat> planes;
    cv::split(Colours(values), planes);
    planes.push_back(opacity);
    cv::merge(planes, with_opacity);
    return with_opacity;
  };
  CSL_ASSIGN_OR_RETURN(const cv::Mat drawn, CatchAsStatus("drawing a map", draw));
  return EncodePng(drawn);
}

}  // namespace consilium
