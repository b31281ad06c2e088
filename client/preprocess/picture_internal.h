#pragma once

// What the readers and writers of picture files share, in OpenCV's terms.

#include <opencv2/core.hpp>

#include "client/preprocess/image.h"
#include "common/base/file.h"

namespace consilium {

// Of a picture's sides, in pixels.
inline constexpr int kMinSide = 16;
inline constexpr int kMaxSide = 16384;

// A copy of a CV_16U matrix.
Image FromMat(const cv::Mat& mat);

// A picture's intensities in 8 bits, CV_8U.
cv::Mat ToBytes(const Image& image);

// A picture of 8 bits, grey or colour, as the bytes of a file.
StatusOr<std::string> EncodePng(const cv::Mat& picture);

// Writes a picture of 8 bits, grey or colour, whole or not at all.
Status WritePng(const std::filesystem::path& path, const cv::Mat& picture,
                unsigned mode = kPublicMode);

}  // namespace consilium
