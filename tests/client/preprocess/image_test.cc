#include "client/preprocess/image.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>

#include "client/preprocess/image_format.h"
#include "common/base/file.h"
#include "tests/testing/image_files.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::kInvalid;
using testing::Ramp;
using testing::StatusIs;
using testing::WriteImage;

class ImageTest : public ::testing::Test {
 protected:
  testing::TempFolder folder_;
};

TEST_F(ImageTest, EightBitGreyIsSpreadOverTheWholeRange) {
  WriteImage(folder_ / "a.png", Ramp(64, 32, CV_8UC1, 0, 4));
  ASSERT_OK_AND_ASSIGN(const Image image, ReadImage(folder_ / "a.png"));
  EXPECT_EQ(image.width, 64);
  EXPECT_EQ(image.height, 32);
  EXPECT_EQ(image.pixels[0], 0);
  EXPECT_EQ(image.pixels[63], 252 * 257);
}

TEST_F(ImageTest, SixteenBitIsStretchedFromItsOwnRange) {
  // Twelve bits in a 16-bit file, as detectors write them.
  WriteImage(folder_ / "a.png", Ramp(64, 32, CV_16UC1, 100, 10));
  ASSERT_OK_AND_ASSIGN(const Image image, ReadImage(folder_ / "a.png"));
  EXPECT_EQ(image.pixels[0], 0);
  EXPECT_EQ(image.pixels[63], 65535);
  EXPECT_NEAR(image.pixels[32], 65535.0 * 32 / 63, 1);
}

TEST_F(ImageTest, ColourAndAlphaBecomeGrey) {
  for (const int type : {CV_8UC3, CV_8UC4}) {
    WriteImage(folder_ / "a.png", Ramp(64, 32, type, 10, 2));
    ASSERT_OK_AND_ASSIGN(const Image image, ReadImage(folder_ / "a.png"));
    EXPECT_EQ(image.pixels.size(), 64U * 32U);
    EXPECT_EQ(image.pixels[5], 20 * 257);
  }
}

TEST_F(ImageTest, AnotherFormatIsRefusedWhateverItsName) {
  WriteImage(folder_ / "a.bmp", Ramp(64, 32, CV_8UC1, 0, 4));
  std::filesystem::rename(folder_ / "a.bmp", folder_ / "a.png");
  EXPECT_THAT(ReadImage(folder_ / "a.png"),
              StatusIs(kInvalid, HasSubstr("not a whole, readable PNG, JPEG or DICOM")));
}

TEST_F(ImageTest, JpegIsRead) {
  WriteImage(folder_ / "a.jpg", Ramp(64, 32, CV_8UC1, 0, 4));
  ASSERT_OK_AND_ASSIGN(const Image image, ReadImage(folder_ / "a.jpg"));
  EXPECT_NEAR(image.pixels[40], 160 * 257, 3 * 257);
}

TEST_F(ImageTest, WhatIsNoImageIsNamed) {
  ASSERT_THAT(WriteFileAtomically(folder_ / "a.png", "not an image"), IsOk());
  EXPECT_THAT(ReadImage(folder_ / "a.png"), StatusIs(kInvalid, HasSubstr("a.png")));
  EXPECT_THAT(ReadImage(folder_ / "absent.png"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(ReadImage(folder_.path()), StatusIs(absl::StatusCode::kNotFound));
  WriteImage(folder_ / "tiny.png", Ramp(8, 8, CV_8UC1, 0, 1));
  EXPECT_THAT(ReadImage(folder_ / "tiny.png"), StatusIs(kInvalid, HasSubstr("8 x 8")));
}

TEST_F(ImageTest, TruncatedAndDamagedFilesNeverCrash) {
  WriteImage(folder_ / "a.png", Ramp(64, 64, CV_8UC1, 0, 3));
  const std::string bytes = *ReadFile(folder_ / "a.png");
  Random random(3);
  for (int i = 0; i < 200; ++i) {
    std::string damaged = bytes.substr(0, random.Below(bytes.size()));
    if (!damaged.empty())
      damaged[random.Below(damaged.size())] ^= static_cast<char>(1 + random.Below(255));
    ASSERT_THAT(WriteFileAtomically(folder_ / "b.png", damaged), IsOk());
    (void)ReadImage(folder_ / "b.png");  // an answer, of whichever kind
  }
}

TEST_F(ImageTest, CutFilesAreNotRead) {
  for (const std::string name : {"a.png", "a.jpg"}) {
    WriteImage(folder_ / name, Ramp(64, 64, CV_8UC1, 0, 3));
    const std::string bytes = *ReadFile(folder_ / name);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      ASSERT_THAT(WriteFileAtomically(folder_ / ("cut-" + name), bytes.substr(0, size)), IsOk());
      EXPECT_THAT(ReadImage(folder_ / ("cut-" + name)), StatusIs(kInvalid)) << name << " " << size;
    }
    ASSERT_THAT(WriteFileAtomically(folder_ / ("long-" + name), bytes + "and more"), IsOk());
    EXPECT_THAT(ReadImage(folder_ / ("long-" + name)), IsOk());
  }
}

TEST_F(ImageTest, ColourBecomesLuma) {
  // Blue, green, red as OpenCV has them; the weights are those of ITU-R BT.601.
  const cv::Mat image(32, 32, CV_16UC3, cv::Scalar(10'000, 20'000, 30'000));
  cv::Mat marked = image.clone();
  marked.at<cv::Vec3w>(0, 0) = {0, 0, 0};
  marked.at<cv::Vec3w>(0, 1) = {65535, 65535, 65535};
  WriteImage(folder_ / "a.png", marked);
  ASSERT_OK_AND_ASSIGN(const Image wide, ReadImage(folder_ / "a.png"));
  EXPECT_NEAR(wide.pixels[40], 0.114 * 10'000 + 0.587 * 20'000 + 0.299 * 30'000, 2);
  WriteImage(folder_ / "a.jpg", cv::Mat(32, 32, CV_8UC3, cv::Scalar(40, 80, 120)));
  ASSERT_OK_AND_ASSIGN(const Image narrow, ReadImage(folder_ / "a.jpg"));
  EXPECT_NEAR(narrow.pixels[40], (0.114 * 40 + 0.587 * 80 + 0.299 * 120) * 257, 3 * 257);
}

TEST_F(ImageTest, CropIsTheCentredSquare) {
  // Bright outside the centred square, grey inside: nothing of the outside may show.
  Image image{.width = 96, .height = 32, .pixels = std::vector<std::uint16_t>(96 * 32, 65535)};
  for (int y = 0; y < 32; ++y) {
    for (int x = 32; x < 64; ++x) image.pixels[static_cast<std::size_t>(y * 96 + x)] = 1000;
  }
  for (const int side : {16, 32, 48}) {
    const Image square = CropAndResize(image, side);
    EXPECT_EQ(square.width, side);
    EXPECT_EQ(square.height, side);
    EXPECT_TRUE(std::ranges::all_of(square.pixels, [](std::uint16_t v) { return v == 1000; }));
  }
}

std::vector<float> ToInput(const Image& image, const Augmentation& augmentation, std::uint64_t seed,
                           int channels = 1) {
  std::vector<float> out(image.pixels.size() * static_cast<std::size_t>(channels));
  Random random(seed);
  ToNetworkInput(image.pixels, image.width, {0.5, 0.25}, augmentation, random, channels, out);
  return out;
}

Image Gradient() {
  Image image{.width = 32, .height = 32, .pixels = {}};
  for (int i = 0; i < 32 * 32; ++i)
    image.pixels.push_back(static_cast<std::uint16_t>(i % 32 * 2000));
  return image;
}

TEST(ToNetworkInput, NormalisesAndRepeatsChannels) {
  const auto out = ToInput(Gradient(), {}, 1, 3);
  EXPECT_NEAR(out[0], -2.0, 1e-6);
  EXPECT_NEAR(out[31], (31 * 2000 / 65535.0 - 0.5) / 0.25, 1e-5);
  EXPECT_TRUE(std::equal(out.begin(), out.begin() + 1024, out.begin() + 1024));
  EXPECT_TRUE(std::equal(out.begin(), out.begin() + 1024, out.begin() + 2048));
}

TEST(ToNetworkInput, AugmentationFollowsTheSeedAndStaysNear) {
  const Augmentation augmentation{
      .rotation_degrees = 7, .shift = 0.05, .scale = 0.1, .contrast = 0.1, .brightness = 0.05};
  const auto plain = ToInput(Gradient(), {}, 1);
  const auto once = ToInput(Gradient(), augmentation, 1);
  EXPECT_EQ(once, ToInput(Gradient(), augmentation, 1));
  EXPECT_NE(once, ToInput(Gradient(), augmentation, 2));
  EXPECT_NE(once, plain);
  double difference = 0;
  for (std::size_t i = 0; i < plain.size(); ++i) {
    difference +=
        std::abs(static_cast<double>(plain[i] - once[i])) / static_cast<double>(plain.size());
  }
  EXPECT_LT(difference, 0.6);  // of values between -2 and 2
}

TEST(ToNetworkInput, CutoutBlanksASquareInEveryChannel) {
  Image white{.width = 32, .height = 32, .pixels = std::vector<std::uint16_t>(32 * 32, 65535)};
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const auto out = ToInput(white, {.cutout = 0.25}, seed, 3);
    const auto blank = std::count(out.begin(), out.begin() + 1024, 0.0F);
    // 8 x 8 inside, a quarter of it in a corner.
    EXPECT_GE(blank, 4 * 4);
    EXPECT_LE(blank, 8 * 8);
    EXPECT_EQ(std::count(out.begin(), out.end(), 0.0F), 3 * blank);
    EXPECT_EQ(std::count(out.begin(), out.begin() + 1024, 2.0F), 1024 - blank);
  }
}

TEST(ToNetworkInput, FlipHappensOnlyWhenAsked) {
  int flipped = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const auto out = ToInput(Gradient(), {.horizontal_flip = true}, seed);
    flipped += out[0] > out[31] ? 1 : 0;
  }
  EXPECT_GT(flipped, 3);
  EXPECT_LT(flipped, 17);
}

// A file of a few bytes that claims a picture of gigabytes is refused by what it says of itself.
TEST_F(ImageTest, SidesAreCheckedBeforeMemoryIsTaken) {
  WriteImage(folder_ / "a.png", Ramp(48, 32, CV_8UC1, 0, 4));
  ASSERT_OK_AND_ASSIGN(std::string png, ReadFile(folder_ / "a.png"));
  EXPECT_EQ(SidesOf(AsBytes(png)).width, 48U);
  EXPECT_EQ(SidesOf(AsBytes(png)).height, 32U);
  png[16 + 1] = 1;  // the width is 48 + 65536
  ASSERT_THAT(WriteFileAtomically(folder_ / "bomb.png", png), IsOk());
  EXPECT_THAT(ReadImage(folder_ / "bomb.png"), StatusIs(kInvalid, HasSubstr("65584 x 32 pixels")));
  WriteImage(folder_ / "a.jpg", Ramp(48, 32, CV_8UC1, 0, 4));
  ASSERT_OK_AND_ASSIGN(const std::string jpeg, ReadFile(folder_ / "a.jpg"));
  EXPECT_EQ(SidesOf(AsBytes(jpeg)).width, 48U);
  EXPECT_EQ(SidesOf(AsBytes(jpeg)).height, 32U);
  EXPECT_EQ(SidesOf(AsBytes("no picture")).width, 0U);
  // A second, smaller frame behind a huge one does not hide it.
  const auto frame = jpeg.find("\xff\xc0");
  ASSERT_NE(frame, std::string::npos);
  std::string two = jpeg;
  two.insert(frame, std::string("\xff\xc0\x00\x0b\x08\x7f\xff\x7f\xff\x01\x01\x11\x00", 13));
  EXPECT_EQ(SidesOf(AsBytes(two)).width, 32767U);
}

}  // namespace
}  // namespace consilium
