#pragma once

#include <cstdint>
#include <filesystem>
#include <opencv2/imgcodecs.hpp>

namespace consilium::testing {

// A picture of `type` (CV_8UC1, CV_16UC1, CV_8UC3, …) whose value grows from left to right by
// `step`.
inline cv::Mat Ramp(int width, int height, int type, double start, double step) {
  cv::Mat ramp(height, width, CV_64F);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) ramp.at<double>(y, x) = start + step * x;
  }
  std::vector<cv::Mat> channels(static_cast<std::size_t>(CV_MAT_CN(type)), ramp);
  cv::Mat merged;
  cv::merge(channels, merged);
  cv::Mat image;
  merged.convertTo(image, CV_MAT_DEPTH(type));
  return image;
}

inline void WriteImage(const std::filesystem::path& path, const cv::Mat& image) {
  std::filesystem::create_directories(path.parent_path());
  cv::imwrite(path.string(), image);
}

}  // namespace consilium::testing
