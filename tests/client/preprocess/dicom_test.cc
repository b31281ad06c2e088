#include "client/preprocess/dicom.h"

#include <fstream>

#include "tests/client/preprocess/dicom_fixture.h"

namespace consilium {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::kInvalid;
using testing::StatusIs;

// As from the least to the greatest of the values.
double Expected(double value, double low, double high) {
  return 65535 * std::clamp((value - low) / (high - low), 0.0, 1.0);
}

constexpr double kLeast = 0;
constexpr double kGreatest = 40 * (kWidth - 1) + kHeight - 1;
// The library maps values by tables of its own: to a few of 65536 steps.
constexpr double kNear = 40;

TEST_F(DicomTest, ShowsAllValuesWhereTheFileHasNoWindow) {
  const auto path = Write(Radiograph(), Ramp());
  ASSERT_OK_AND_ASSIGN(const Image image, ReadDicom(path, 0, {}));
  ASSERT_EQ(image.width, kWidth);
  ASSERT_EQ(image.height, kHeight);
  for (int y = 0; y < kHeight; ++y) {
    for (int x = 0; x < kWidth; ++x) {
      ASSERT_NEAR(image.pixels[static_cast<std::size_t>(y * kWidth + x)],
                  Expected(40 * x + y, kLeast, kGreatest), kNear)
          << x << " " << y;
    }
  }
}

TEST_F(DicomTest, Monochrome1IsTurnedSoThatZeroIsBlack) {
  Tags tags = Radiograph();
  tags["(0028,0004)"] = "CS [MONOCHROME1]";
  ASSERT_OK_AND_ASSIGN(const Image image, ReadDicom(Write(tags, Ramp()), 0, {}));
  EXPECT_NEAR(image.pixels.front(), 65535, kNear);
  EXPECT_NEAR(image.pixels.back(), 0, kNear);
  EXPECT_NEAR(image.pixels[20], 65535 - Expected(800, kLeast, kGreatest), kNear);
}

// Linear as PS3.3 C.11.2.1.2 has it: from c - 0.5 - (w - 1) / 2 to c - 0.5 + (w - 1) / 2.
TEST_F(DicomTest, TheFilesWindowIsAppliedAndAnotherTakesItsPlace) {
  Tags tags = Radiograph();
  tags["(0028,1050)"] = "DS [600]";
  tags["(0028,1051)"] = "DS [401]";
  const auto path = Write(tags, Ramp());
  ASSERT_OK_AND_ASSIGN(const Image own, ReadDicom(path, 0, {}));
  EXPECT_NEAR(own.pixels[15], Expected(600, 399.5, 799.5), kNear);
  EXPECT_EQ(own.pixels[5], 0);
  EXPECT_EQ(own.pixels[30], 65535);
  ASSERT_OK_AND_ASSIGN(const Image given, ReadDicom(path, 0, {.center = 1000, .width = 1001}));
  EXPECT_NEAR(given.pixels[30], Expected(1200, 499.5, 1499.5), kNear);
  EXPECT_EQ(given.pixels[10], 0);
}

// Hounsfield units by rescaling; the lung window over them.
TEST_F(DicomTest, LungWindowIsInHounsfieldUnits) {
  Tags tags = Radiograph();
  tags["(0008,0016)"] = "UI =CTImageStorage";
  tags["(0008,0060)"] = "CS [CT]";
  tags["(0028,1052)"] = "DS [-1024]";
  tags["(0028,1053)"] = "DS [1]";
  ASSERT_OK_AND_ASSIGN(const Image image,
                       ReadDicom(Write(tags, Ramp()), 0, {.center = -600, .width = 1500}));
  EXPECT_NEAR(image.pixels[20], Expected(800 - 1024, -1350, 150), 2 * kNear);
  EXPECT_EQ(image.pixels[46], 65535);
}

TEST_F(DicomTest, EightBitsAreReadAsWell) {
  Tags tags = Radiograph();
  tags["(0028,0100)"] = "US 8";
  tags["(0028,0101)"] = "US 8";
  tags["(0028,0102)"] = "US 7";
  std::vector<std::uint16_t> pairs;  // two pixels a word, the first in its low byte
  for (int i = 0; i < kWidth * kHeight; i += 2) {
    pairs.push_back(static_cast<std::uint16_t>((i % kWidth) | (i % kWidth + 1) << 8));
  }
  ASSERT_OK_AND_ASSIGN(const Image image, ReadDicom(Write(tags, pairs), 0, {}));
  EXPECT_NEAR(image.pixels[10], Expected(10, 0, kWidth - 1), 2 * kNear);
}

TEST_F(DicomTest, EveryLosslessCodingGivesTheSamePixels) {
  const auto plain = Write(Radiograph(), Ramp());
  ASSERT_OK_AND_ASSIGN(const Image want, ReadDicom(plain, 0, {}));
  for (const std::string command : {"dcmconv +ti", "dcmconv +tb", "dcmconv +td", "dcmcrle",
                                    "dcmcjpeg +el", "dcmcjpeg +e1", "dcmcjpls"}) {
    Run(command, plain, folder_ / "coded.dcm");
    ASSERT_OK_AND_ASSIGN(const Image got, ReadDicom(folder_ / "coded.dcm", 0, {}));
    EXPECT_EQ(got.pixels, want.pixels) << command;
  }
}

TEST_F(DicomTest, RleSegmentsThatBeginOutsideTheirFragmentAreRefused) {
  Run("dcmcrle", Write(Radiograph(), Ramp()), folder_ / "coded.dcm");
  ASSERT_OK_AND_ASSIGN(const std::string whole, ReadFile(folder_ / "coded.dcm"));
  const std::string header("\x02\0\0\0\x40\0\0\0", 8);  // two segments, the first at 64
  const std::size_t at = whole.find(header);
  ASSERT_NE(at, std::string::npos);
  const auto with = [&](std::size_t number, std::string_view offset) {
    return std::string(whole).replace(at + 4 * number, 4, offset);
  };
  const std::string_view far("\0\0\0\x08", 4);
  const std::string_view before("\x20\0\0\0", 4);
  const std::string_view fifteen("\x0f\0\0\0", 4);
  for (const std::string& file : {with(2, far), with(1, far), with(2, before), with(1, before),
                                  with(0, fifteen), with(0, far)}) {
    ASSERT_THAT(WriteFileAtomically(folder_ / "coded.dcm", file), IsOk());
    EXPECT_THAT(ReadDicom(folder_ / "coded.dcm", 0, {}),
                StatusIs(kInvalid, HasSubstr("RLE fragment")));
  }
}

TEST_F(DicomTest, LossyJpegIsNearlyTheSame) {
  const auto plain = Write(Radiograph(), Ramp());
  ASSERT_OK_AND_ASSIGN(const Image want, ReadDicom(plain, 0, {.center = 1000, .width = 2000}));
  Run("dcmcjpeg +ee +q 95", plain, folder_ / "coded.dcm");
  ASSERT_OK_AND_ASSIGN(const Image got,
                       ReadDicom(folder_ / "coded.dcm", 0, {.center = 1000, .width = 2000}));
  for (std::size_t i = 0; i < want.pixels.size(); ++i) {
    ASSERT_NEAR(got.pixels[i], want.pixels[i], 65535 * 0.02) << i;
  }
}

TEST_F(DicomTest, FramesAreNamedByNumber) {
  Tags tags = Radiograph();
  tags["(0028,0008)"] = "IS [3]";
  const auto path = Write(tags, Ramp(3));
  const Window window{.center = 1000, .width = 2001};
  EXPECT_THAT(ReadImage(path, window),
              StatusIs(kInvalid, AllOf(HasSubstr("3 frames"), HasSubstr("a.dcm#1"))));
  ASSERT_OK_AND_ASSIGN(const Image third, ReadImage(path.string() + "#3", window));
  EXPECT_NEAR(third.pixels[10], Expected(600, -0.5, 1999.5), kNear);
  EXPECT_THAT(ReadImage(path.string() + "#4", window), StatusIs(kInvalid, HasSubstr("no frame 4")));
  ASSERT_OK_AND_ASSIGN(const DicomFacts facts, ReadDicomFacts(path));
  EXPECT_EQ(facts.frames, 3U);
}

TEST_F(DicomTest, PixelsThatAreNotSquareAreMadeSo) {
  Tags tags = Radiograph();
  tags["(0028,0030)"] = "DS [0.2\\0.4]";  // between rows, between columns
  ASSERT_OK_AND_ASSIGN(const Image image, ReadDicom(Write(tags, Ramp()), 0, {}));
  EXPECT_EQ(image.width, 2 * kWidth);
  EXPECT_EQ(image.height, kHeight);
}

TEST_F(DicomTest, ColourBecomesGrey) {
  Tags tags = Radiograph();
  tags["(0028,0002)"] = "US 3";
  tags["(0028,0004)"] = "CS [RGB]";
  tags["(0028,0006)"] = "US 0";
  tags["(0028,0100)"] = "US 8";
  tags["(0028,0101)"] = "US 8";
  tags["(0028,0102)"] = "US 7";
  const std::vector<std::uint16_t> grey(kWidth * kHeight * 3 / 2, 0x8080);
  ASSERT_OK_AND_ASSIGN(const Image image, ReadDicom(Write(tags, grey), 0, {}));
  EXPECT_EQ(image.pixels.size(), static_cast<std::size_t>(kWidth * kHeight));
}

TEST_F(DicomTest, SaysWhatIsNeededAndNothingElse) {
  ASSERT_OK_AND_ASSIGN(const DicomFacts facts, ReadDicomFacts(Write(Radiograph(), Ramp())));
  EXPECT_EQ(facts.patient_id, "P-17");
  EXPECT_EQ(facts.modality, "DX");
  EXPECT_EQ(facts.view, "PA");
  EXPECT_EQ(facts.study_date, "20200317");
  EXPECT_EQ(facts.frames, 1U);
}

TEST_F(DicomTest, FileCutAnywhereIsRefused) {
  const auto path = Write(Radiograph(), Ramp());
  ASSERT_OK_AND_ASSIGN(const std::string whole, ReadFile(path));
  for (std::size_t size = 0; size < whole.size(); size += 37) {
    ASSERT_THAT(WriteFileAtomically(folder_ / "cut.dcm", whole.substr(0, size)), IsOk());
    const auto image = ReadImage(folder_ / "cut.dcm");
    EXPECT_THAT(image, StatusIs(kInvalid, HasSubstr("cut.dcm"))) << size;
  }
}

TEST_F(DicomTest, DamagedFileIsAnErrorOrAPictureAndNeverACrash) {
  const auto path = Write(Radiograph(), Ramp());
  ASSERT_OK_AND_ASSIGN(const std::string whole, ReadFile(path));
  for (std::size_t at = 132; at < whole.size(); at += 11) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x5a);
    ASSERT_THAT(WriteFileAtomically(folder_ / "b.dcm", damaged), IsOk());
    (void)ReadImage(folder_ / "b.dcm");
  }
}

TEST_F(DicomTest, UnknownCodingIsNamed) {
  const auto path = Write(Radiograph(), Ramp());
  ASSERT_OK_AND_ASSIGN(std::string whole, ReadFile(path));
  Run("dcmcjpls", path, folder_ / "coded.dcm");
  ASSERT_OK_AND_ASSIGN(whole, ReadFile(folder_ / "coded.dcm"));
  // JPEG-LS lossless becomes JPEG 2000 lossless, as far as the file says.
  const std::string from = "1.2.840.10008.1.2.4.80";
  whole.replace(whole.find(from), from.size(), "1.2.840.10008.1.2.4.90");
  ASSERT_THAT(WriteFileAtomically(folder_ / "coded.dcm", whole), IsOk());
  EXPECT_THAT(ReadImage(folder_ / "coded.dcm"),
              StatusIs(kInvalid, AllOf(HasSubstr("JPEG 2000"), HasSubstr("convert"))));
}

TEST_F(DicomTest, AFileWithoutAPictureOrTooSmallIsRefused) {
  Tags tags = Radiograph();
  tags["(0028,0010)"] = "US 8";
  EXPECT_THAT(ReadDicom(Write(tags, Ramp()), 0, {}), StatusIs(kInvalid, HasSubstr("48 x 8")));
  tags.erase("(0028,0010)");
  EXPECT_THAT(ReadDicom(Write(tags, Ramp()), 0, {}), StatusIs(kInvalid, HasSubstr("picture")));
}

TEST_F(DicomTest, IsFoundWithoutAnExtension) {
  const auto path = Write(Radiograph(), Ramp(), "IM000001");
  EXPECT_TRUE(IsImageFile(path));
  ASSERT_THAT(WriteFileAtomically(folder_ / "README", "nothing"), IsOk());
  EXPECT_FALSE(IsImageFile(folder_ / "README"));
}

}  // namespace
}  // namespace consilium
