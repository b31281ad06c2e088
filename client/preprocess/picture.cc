#include <opencv2/imgcodecs.hpp>

#include "client/preprocess/picture_internal.h"

namespace consilium {

cv::Mat ToBytes(const Image& image) {
  // OpenCV takes no pointer to const; nothing is written through it.
  const cv::Mat wide(image.height, image.width, CV_16U,
                     const_cast<std::uint16_t*>(image.pixels.data()));
  cv::Mat narrow;
  wide.convertTo(narrow, CV_8U, 1.0 / 257);
  return narrow;
}

StatusOr<std::string> EncodePng(const cv::Mat& picture) {
  std::vector<unsigned char> bytes;
  if (!cv::imencode(".png", picture, bytes)) return Internal("cannot encode a picture");
  return std::string(bytes.begin(), bytes.end());
}

Status WritePng(const std::filesystem::path& path, const cv::Mat& picture, unsigned mode) {
  CSL_ASSIGN_OR_RETURN(const std::string png, EncodePng(picture));
  return WriteFileAtomically(path, png, mode);
}

}  // namespace consilium
