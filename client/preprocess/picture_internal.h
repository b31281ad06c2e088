#pragma once

// What the readers of picture files share, in OpenCV's terms.

#include <opencv2/core.hpp>

#include "client/preprocess/image.h"

namespace consilium {

// Of a picture's sides, in pixels.
inline constexpr int kMinSide = 16;
inline constexpr int kMaxSide = 16384;

// A copy of a CV_16U matrix.
Image FromMat(const cv::Mat& mat);

}  // namespace consilium
