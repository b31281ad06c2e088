#include "client/data/contact_sheet.h"

#include <algorithm>
#include <opencv2/imgproc.hpp>

#include "client/preprocess/picture_internal.h"

namespace consilium {
namespace {

constexpr int kThumbnail = 160;
constexpr int kCaption = 18;

void DrawThumbnail(const Example& example, cv::Mat cell) {
  const auto image = ReadImage(example.path);
  if (!image.ok()) return;
  ToBytes(CropAndResize(*image, kThumbnail)).copyTo(cell.rowRange(0, kThumbnail));
  cv::putText(cell, example.label, {2, kThumbnail + kCaption - 5}, cv::FONT_HERSHEY_SIMPLEX, 0.4,
              255, 1, cv::LINE_AA);
}

}  // namespace

StatusOr<std::string> EncodeContactSheet(const Manifest& manifest, int columns, int rows) {
  const int cells = std::min(columns * rows, static_cast<int>(manifest.size()));
  const int used_rows = std::max(1, (cells + columns - 1) / columns);
  cv::Mat sheet(used_rows * (kThumbnail + kCaption), columns * kThumbnail, CV_8U, cv::Scalar(0));
  for (int i = 0; i < cells; ++i) {
    const auto index =
        manifest.size() * static_cast<std::size_t>(i) / static_cast<std::size_t>(cells);
    const cv::Rect cell(i % columns * kThumbnail, i / columns * (kThumbnail + kCaption), kThumbnail,
                        kThumbnail + kCaption);
    DrawThumbnail(manifest[index], sheet(cell));
  }
  return EncodePng(sheet);
}

Status WriteContactSheet(const Manifest& manifest, int columns, int rows,
                         const std::filesystem::path& path) {
  CSL_ASSIGN_OR_RETURN(const std::string png, EncodeContactSheet(manifest, columns, rows));
  return WriteFileAtomically(path, png);
}

}  // namespace consilium
