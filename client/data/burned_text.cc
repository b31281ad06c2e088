#include "client/data/burned_text.h"

#include <algorithm>
#include <cmath>
#include <opencv2/imgproc.hpp>
#include <vector>

#include "client/preprocess/picture_internal.h"

namespace consilium {
namespace {

constexpr int kShorterSide = 768;  // letters are looked for at this size of the picture
constexpr int kStroke = 9;         // wider than a letter's stroke
constexpr int kContrast = 28;      // of 255, between a stroke and what is around it
constexpr int kLeastHeight = 7;
constexpr int kLargestHeight = 48;
constexpr std::size_t kLeastLetters = 4;

cv::Mat AtWorkingSize(const Image& image) {
  const cv::Mat picture = ToBytes(image);
  const double factor = static_cast<double>(kShorterSide) / std::min(picture.rows, picture.cols);
  cv::Mat resized;
  cv::resize(picture, resized, {}, factor, factor, factor < 1 ? cv::INTER_AREA : cv::INTER_LINEAR);
  return resized;
}

bool IsOfALettersSize(const cv::Rect& box, int area) {
  if (box.height < kLeastHeight || box.height > kLargestHeight) return false;
  if (box.width > 3 * box.height / 2 || box.width < box.height / 8) return false;
  return area * 8 >= box.area();
}

// The marks that could be letters, from left to right.
std::vector<cv::Rect> FindLetters(const cv::Mat& strokes) {
  cv::Mat labels;
  cv::Mat stats;
  cv::Mat centres;
  const int count = cv::connectedComponentsWithStats(strokes, labels, stats, centres, 8);
  std::vector<cv::Rect> letters;
  for (int i = 1; i < count; ++i) {
    const cv::Rect box(stats.at<int>(i, cv::CC_STAT_LEFT), stats.at<int>(i, cv::CC_STAT_TOP),
                       stats.at<int>(i, cv::CC_STAT_WIDTH), stats.at<int>(i, cv::CC_STAT_HEIGHT));
    if (IsOfALettersSize(box, stats.at<int>(i, cv::CC_STAT_AREA))) letters.push_back(box);
  }
  std::ranges::sort(letters, {}, &cv::Rect::x);
  return letters;
}

// Whether `b` may stand to the right of `a` in one line.
bool FollowInALine(const cv::Rect& a, const cv::Rect& b) {
  const int height = std::max(a.height, b.height);
  if (3 * std::min(a.height, b.height) < 2 * height) return false;
  const int drop = std::abs((2 * a.y + a.height) - (2 * b.y + b.height)) / 2;
  const int gap = b.x - (a.x + a.width);
  return 3 * drop <= height && gap >= -height / 4 && gap <= height;
}

bool HasLine(const std::vector<cv::Rect>& letters) {
  std::vector<std::size_t> length(letters.size(), 1);  // of the longest line that ends here
  for (std::size_t i = 0; i < letters.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (FollowInALine(letters[j], letters[i])) length[i] = std::max(length[i], length[j] + 1);
    }
    if (length[i] >= kLeastLetters) return true;
  }
  return false;
}

}  // namespace

bool SeemsToHaveText(const Image& image) {
  const cv::Mat picture = AtWorkingSize(image);
  const cv::Mat around = cv::getStructuringElement(cv::MORPH_ELLIPSE, {kStroke, kStroke});
  for (const int lighter_or_darker : {cv::MORPH_TOPHAT, cv::MORPH_BLACKHAT}) {
    cv::Mat strokes;
    cv::morphologyEx(picture, strokes, lighter_or_darker, around);
    cv::threshold(strokes, strokes, kContrast, 255, cv::THRESH_BINARY);
    if (HasLine(FindLetters(strokes))) return true;
  }
  return false;
}

}  // namespace consilium
