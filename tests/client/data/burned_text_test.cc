#include "client/data/burned_text.h"

#include <gtest/gtest.h>

#include <opencv2/imgproc.hpp>

#include "client/preprocess/picture_internal.h"

namespace consilium {
namespace {

// Something like a chest: a bright middle, dark fields, noise.
cv::Mat Chest(int side) {
  cv::Mat picture(side, side, CV_8U, cv::Scalar(150));
  cv::ellipse(picture, {side * 3 / 10, side / 2}, {side / 6, side / 3}, 0, 0, 360, 60, cv::FILLED);
  cv::ellipse(picture, {side * 7 / 10, side / 2}, {side / 6, side / 3}, 0, 0, 360, 60, cv::FILLED);
  for (int rib = 1; rib < 8; ++rib) {
    cv::ellipse(picture, {side / 2, side * rib / 8}, {side * 4 / 10, side / 10}, 0, 200, 340, 110,
                side / 60);
  }
  cv::GaussianBlur(picture, picture, {}, side / 200.0);
  cv::Mat noise(side, side, CV_8U);
  cv::theRNG().state = 7;
  cv::randn(noise, 10, 4);
  return picture + noise;
}

bool HasText(const cv::Mat& picture) {
  cv::Mat wide;
  picture.convertTo(wide, CV_16U, 257);
  return SeemsToHaveText(FromMat(wide));
}

TEST(BurnedText, LineOfTextIsSeenWhereverItStands) {
  for (const int side : {512, 1024, 2048}) {
    const double scale = side / 900.0;
    for (const cv::Point at :
         {cv::Point(side / 50, side / 20), cv::Point(side / 2, side * 19 / 20)}) {
      cv::Mat light = Chest(side);
      cv::putText(light, "DOE JOHN 1960", at, cv::FONT_HERSHEY_SIMPLEX, scale, 245,
                  std::max(1, side / 600), cv::LINE_AA);
      EXPECT_TRUE(HasText(light)) << side;
      cv::Mat dark = Chest(side);
      cv::putText(dark, "2020-03-14", at, cv::FONT_HERSHEY_DUPLEX, scale, 10,
                  std::max(1, side / 600), cv::LINE_AA);
      EXPECT_TRUE(HasText(dark)) << side;
    }
  }
}

TEST(BurnedText, ChestsAndSingleMarkersHaveNone) {
  for (const int side : {256, 512, 1024}) {
    cv::Mat picture = Chest(side);
    EXPECT_FALSE(HasText(picture)) << side;
    cv::putText(picture, "L", {side * 8 / 10, side / 10}, cv::FONT_HERSHEY_SIMPLEX, side / 400.0,
                250, std::max(1, side / 300));
    EXPECT_FALSE(HasText(picture)) << side;
  }
}

}  // namespace
}  // namespace consilium
