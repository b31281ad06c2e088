#include "client/data/pixel_labels.h"

#include <gmock/gmock.h>

#include "client/batch/batch.h"
#include "client/data/loader.h"
#include "common/base/file.h"
#include "tests/testing/image_files.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::kInvalid;
using testing::StatusIs;

constexpr int kSide = 32;

class PixelLabelsTest : public ::testing::Test {
 protected:
  // A picture whose lungs are bright, and a mask of them; the lower half of them is affected.
  Example Picture(const std::string& name, const std::string& label) {
    cv::Mat picture(kSide, kSide, CV_8U, cv::Scalar(20));
    cv::Mat lungs(kSide, kSide, CV_8U, cv::Scalar(0));
    for (cv::Mat* mat : {&picture, &lungs}) (*mat)(kLung).setTo(255);
    testing::WriteImage(folder_ / "images" / name, picture);
    testing::WriteImage(folder_ / "lungs" / name, lungs);
    return {folder_ / "images" / name, label, "", Split::kTrain};
  }
  void MarkOpacity(const std::string& name) {
    cv::Mat opacity(kSide, kSide, CV_8U, cv::Scalar(0));
    opacity(kOpacity).setTo(255);
    testing::WriteImage(folder_ / "opacities" / name, opacity);
  }
  PixelSources Sources() const {
    for (const char* name : {"empty", "lungs", "opacities"}) {
      std::filesystem::create_directories(folder_ / name);
    }
    return {.lungs = {folder_ / "empty", folder_ / "lungs"}, .opacities = {folder_ / "opacities"}};
  }
  StatusOr<std::vector<std::uint8_t>> Label(const Example& example, const PixelSources& sources) {
    CSL_ASSIGN_OR_RETURN(const PixelLabeller labeller, PixelLabeller::Create(sources));
    CSL_ASSIGN_OR_RETURN(const Image image, ReadImage(example.path));
    return labeller.Label(example, image, kSide);
  }
  // Labels within a rectangle.
  static std::vector<int> In(const std::vector<std::uint8_t>& labels, const cv::Rect& rect) {
    std::vector<int> inside;
    for (int y = rect.y; y < rect.y + rect.height; ++y) {
      for (int x = rect.x; x < rect.x + rect.width; ++x) {
        inside.push_back(labels[static_cast<std::size_t>(y * kSide + x)]);
      }
    }
    return inside;
  }

  const cv::Rect kLung{8, 4, 16, 24};
  const cv::Rect kOpacity{8, 16, 16, 12};
  const cv::Rect kHealthyPart{8, 4, 16, 12};
  const cv::Rect kBeside{0, 0, 8, 32};
  testing::TempFolder folder_;
};

TEST_F(PixelLabelsTest, MasksSayWhichTissueAPixelIs) {
  const Example example = Picture("a.png", "covid");
  MarkOpacity("a.png");
  ASSERT_OK_AND_ASSIGN(const auto labels, Label(example, Sources()));
  EXPECT_THAT(In(labels, kBeside), Each(0));
  EXPECT_THAT(In(labels, kHealthyPart), Each(1));
  EXPECT_THAT(In(labels, kOpacity), Each(2));
}

TEST_F(PixelLabelsTest, LungsWithoutAMaskOfOpacitiesAreWhatElseIsKnownOfThem) {
  ASSERT_THAT(WriteFileAtomically(folder_ / "severity.csv",
                                  "path,geographic_extent\nimages/a.png,4\nb.png,0\n"),
              IsOk());
  PixelSources sources = Sources();
  sources.severity = folder_ / "severity.csv";
  const auto lung_of = [&](const std::string& name, const std::string& label) {
    const auto labels = Label(Picture(name, label), sources);
    EXPECT_THAT(labels, IsOk());
    EXPECT_THAT(In(*labels, kBeside), Each(0));
    const auto lung = In(*labels, kLung);
    EXPECT_THAT(lung, Each(lung.front()));
    return lung.front();
  };
  EXPECT_EQ(lung_of("a.png", "covid"), kLungOfExtent + 50);
  EXPECT_EQ(lung_of("b.png", "covid"), kLungOfExtent);
  EXPECT_EQ(lung_of("c.png", "normal"), 1);
  EXPECT_EQ(lung_of("d.png", "pneumonia"), kSomeLung);
}

TEST_F(PixelLabelsTest, PictureWithoutALungMaskIsNotKnown) {
  const Example example = Picture("a.png", "covid");
  std::filesystem::remove(folder_ / "lungs/a.png");
  ASSERT_OK_AND_ASSIGN(const PixelLabeller labeller, PixelLabeller::Create(Sources()));
  EXPECT_FALSE(labeller.Knows(example));
  EXPECT_TRUE(labeller.Knows(Picture("b.png", "covid")));
}

TEST_F(PixelLabelsTest, MaskOfAJpegIsAPng) {
  Example example = Picture("a.png", "covid");
  std::filesystem::rename(example.path, folder_ / "images/a.jpg");
  example.path = folder_ / "images/a.jpg";
  ASSERT_OK_AND_ASSIGN(const PixelLabeller labeller, PixelLabeller::Create(Sources()));
  EXPECT_TRUE(labeller.Knows(example));
}

TEST_F(PixelLabelsTest, WrongMasksAndExtentsAreNamed) {
  const Example example = Picture("a.png", "covid");
  testing::WriteImage(folder_ / "lungs/a.png", cv::Mat(16, 16, CV_8U, cv::Scalar(255)));
  EXPECT_THAT(Label(example, Sources()), StatusIs(kInvalid, HasSubstr("16 x 16")));
  PixelSources sources = Sources();
  sources.opacities = {folder_ / "opacites"};
  EXPECT_THAT(PixelLabeller::Create(sources),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("opacites")));
  sources = Sources();
  sources.severity = folder_ / "severity.csv";
  for (const std::string text :
       {"path,geographic_extent\na.png,9\n", "path,geographic_extent\na.png,-1\n",
        "path,geographic_extent\na.png,much\n", "path,geographic_extent\na.png,nan\n",
        "path,geographic_extent,opacity\na.png,8,6.5\n", "path,opacity\na.png,6\n"}) {
    ASSERT_THAT(WriteFileAtomically(sources.severity, text), IsOk());
    EXPECT_THAT(PixelLabeller::Create(sources), StatusIs(kInvalid, HasSubstr("severity.csv")))
        << text;
  }
}

TEST_F(PixelLabelsTest, ExpertsScoreExtentAndMaybeOpacity) {
  PixelSources sources = Sources();
  sources.severity = folder_ / "severity.csv";
  ASSERT_THAT(WriteFileAtomically(sources.severity,
                                  "path,opacity,geographic_extent\na.png,2.5,4\nb.png,,0\n"),
              IsOk());
  ASSERT_OK_AND_ASSIGN(const PixelLabeller labeller, PixelLabeller::Create(sources));
  const auto scored = labeller.Severity({.path = "elsewhere/a.png"});
  ASSERT_TRUE(scored);
  EXPECT_EQ(scored->geographic_extent, 4);
  EXPECT_EQ(scored->opacity, 2.5);
  EXPECT_EQ(labeller.Severity({.path = "b.png"})->opacity, std::nullopt);
  EXPECT_FALSE(labeller.Severity({.path = "c.png"}));
}

TEST_F(PixelLabelsTest, LoaderMovesLabelsWithTheirPicture) {
  const Manifest manifest = {Picture("a.png", "normal"), Picture("b.png", "normal")};
  ASSERT_OK_AND_ASSIGN(const PixelLabeller labeller, PixelLabeller::Create(Sources()));
  ASSERT_OK_AND_ASSIGN(const ImageSet images,
                       ImageSet::Build(manifest, {"normal"},
                                       {.side = kSide,
                                        .label_pixels =
                                            [&](const Example& example, const Image& picture) {
                                              return labeller.Label(example, picture, kSide);
                                            }},
                                       {}));
  const ModelSpec spec = {.architecture = "unet", .channels = 1, .input_size = kSide};
  Loader loader(images, spec,
                {.batch_size = 2,
                 .augmentation = {
                     .rotation_degrees = 40, .shift = 0.2, .scale = 0.3, .horizontal_flip = true}});
  int moved = 0;
  for (std::uint64_t epoch = 0; epoch < 5; ++epoch) {
    loader.StartEpoch(epoch);
    const Batch* batch = *loader.Next();
    ASSERT_EQ(batch->labels.size(), 2U * kSide * kSide);
    int wrong = 0;
    for (std::size_t i = 0; i < batch->labels.size(); ++i) {
      const float grey = batch->pixels[i] * 0.25F + 0.5F;
      wrong += (grey > 0.54F) == (batch->labels[i] == 1) ? 0 : 1;
      moved += batch->labels[i] == images.pixel_labels(0)[i % (kSide * kSide)] ? 0 : 1;
    }
    EXPECT_LT(wrong, 2 * kSide);  // along the edges
  }
  EXPECT_GT(moved, 100);
}

}  // namespace
}  // namespace consilium
