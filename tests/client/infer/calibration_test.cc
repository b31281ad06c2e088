#include "client/infer/calibration.h"

#include <gmock/gmock.h>

#include "common/base/file.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::kInvalid;
using testing::StatusIs;

Calibration Small() {
  return {.model_digest = "abc",
          .classes = {"covid", "normal"},
          .validation_images = 7,
          .temperature = 1.5,
          .specificity = 0.9,
          .thresholds = {0.25, std::nullopt},
          .known = KnownPictures(2, {1, 0, 0, 1, -1, 0}),
          .layouts = KnownPictures(kLayoutSide * kLayoutSide,
                                   std::vector<float>(3 * kLayoutSide * kLayoutSide, 0.5F)),
          .known_paths = {"a.png", "b.png", "\xff.png"},
          .known_labels = {"covid", "normal", "normal"},
          .distance_limit = 0.5,
          .energy_limit = -1,
          .layout_limit = 0.75};
}

class CalibrationTest : public ::testing::Test {
 protected:
  testing::TempFolder folder_;
};

TEST_F(CalibrationTest, ComesBackAsItWasWritten) {
  ASSERT_THAT(WriteCalibration(folder_ / "c", Small()), IsOk());
  ASSERT_OK_AND_ASSIGN(const Calibration read, ReadCalibration(folder_ / "c", "abc"));
  EXPECT_EQ(read.classes, Small().classes);
  EXPECT_EQ(read.validation_images, 7U);
  EXPECT_EQ(read.temperature, 1.5);
  EXPECT_EQ(read.specificity, 0.9);
  EXPECT_EQ(read.thresholds, Small().thresholds);
  EXPECT_EQ(read.known.width(), 2);
  EXPECT_EQ(read.known.features(), Small().known.features());
  EXPECT_EQ(read.known_paths, Small().known_paths);
  EXPECT_EQ(read.known_labels, Small().known_labels);
  EXPECT_EQ(read.distance_limit, 0.5);
  EXPECT_EQ(read.energy_limit, -1);
  EXPECT_EQ(read.layout_limit, 0.75);
  EXPECT_EQ(read.layouts.features(), Small().layouts.features());
  EXPECT_EQ(std::filesystem::status(folder_ / "c").permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST_F(CalibrationTest, OneOfAnotherModelIsRefused) {
  ASSERT_THAT(WriteCalibration(folder_ / "c", Small()), IsOk());
  EXPECT_THAT(ReadCalibration(folder_ / "c", "abd"),
              StatusIs(kInvalid, HasSubstr("of another model")));
}

TEST_F(CalibrationTest, WhateverIsCutOrFlippedIsAnErrorThatNamesTheFile) {
  ASSERT_THAT(WriteCalibration(folder_ / "c", Small()), IsOk());
  const std::string whole = *ReadFile(folder_ / "c");
  for (std::size_t at = 0; at < whole.size(); ++at) {
    ASSERT_THAT(WriteFileAtomically(folder_ / "cut", whole.substr(0, at)), IsOk());
    EXPECT_THAT(ReadCalibration(folder_ / "cut", "abc"),
                StatusIs(kInvalid, HasSubstr((folder_ / "cut").string())))
        << at;
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ 0x21);
    ASSERT_THAT(WriteFileAtomically(folder_ / "flipped", flipped), IsOk());
    (void)ReadCalibration(folder_ / "flipped", "abc");  // a value may be another: no crash
  }
  EXPECT_THAT(ReadCalibration(folder_ / "none", "abc"), StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace consilium
