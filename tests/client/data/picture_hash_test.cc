#include "client/data/picture_hash.h"

#include <gmock/gmock.h>

#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "client/data/synth.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using testing::IsOk;

class PictureHashTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_THAT(WriteSynthCohort(folder_ / "cohort", 1, 12, 3, {}, {}), IsOk());
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(folder_ / "cohort" / "images")) {
      if (IsImageFile(entry.path())) files_.push_back(entry.path());
    }
    ASSERT_EQ(files_.size(), 12U);
  }
  PictureHash HashOf(const std::filesystem::path& path) { return HashPicture(*ReadImage(path)); }

  testing::TempFolder folder_;
  std::vector<std::filesystem::path> files_;
};

TEST_F(PictureHashTest, CopiesAreNearlyTheSame) {
  for (const auto& file : files_) {
    const PictureHash original = HashOf(file);
    const cv::Mat image = cv::imread(file.string(), cv::IMREAD_GRAYSCALE);
    cv::Mat small;
    cv::resize(image, small, {}, 0.6, 0.6, cv::INTER_AREA);
    cv::imwrite(folder_ / "small.png", small);
    EXPECT_LE(Distance(original, HashOf(folder_ / "small.png")), kNearlyTheSame) << file;
    cv::imwrite(folder_ / "again.jpg", image, {cv::IMWRITE_JPEG_QUALITY, 70});
    EXPECT_LE(Distance(original, HashOf(folder_ / "again.jpg")), kNearlyTheSame) << file;
    cv::Mat bright;
    image.convertTo(bright, -1, 0.8, 20);
    cv::imwrite(folder_ / "bright.png", bright);
    EXPECT_LE(Distance(original, HashOf(folder_ / "bright.png")), kNearlyTheSame) << file;
  }
}

TEST_F(PictureHashTest, ImagesOfDifferentPatientsAreNot) {
  for (std::size_t i = 0; i < files_.size(); ++i) {
    EXPECT_EQ(Distance(HashOf(files_[i]), HashOf(files_[i])), 0);
    for (std::size_t j = i + 1; j < files_.size(); ++j) {
      EXPECT_GT(Distance(HashOf(files_[i]), HashOf(files_[j])), kNearlyTheSame)
          << files_[i] << " " << files_[j];
    }
  }
}

}  // namespace
}  // namespace consilium
