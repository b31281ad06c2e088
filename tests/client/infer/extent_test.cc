#include "client/infer/extent.h"

#include <gmock/gmock.h>

#include "tests/testing/image_files.h"
#include "tests/testing/small_model.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using ::testing::HasSubstr;
using testing::kInvalid;
using testing::StatusIs;

constexpr int kSide = 64;

// Probabilities of a picture with nothing in it, to draw lungs into.
class Picture {
 public:
  Picture() : probabilities_(kSide * kSide * 3) {
    for (std::size_t i = 0; i < probabilities_.size(); i += 3) probabilities_[i] = 1;
  }
  Picture& Lung(const cv::Rect& rect, float affected = 0) {
    for (int y = rect.y; y < rect.y + rect.height; ++y) {
      for (int x = rect.x; x < rect.x + rect.width; ++x) {
        float* p = &probabilities_[static_cast<std::size_t>(y * kSide + x) * 3];
        p[0] = 0.1F;
        p[1] = 0.9F * (1 - affected);
        p[2] = 0.9F * affected;
      }
    }
    return *this;
  }
  Extent Measure() const { return MeasureExtent(probabilities_, kSide); }

 private:
  std::vector<float> probabilities_;
};

TEST(Extent, EachLungHasItsOwn) {
  // On the picture's left is the patient's right lung; a quarter of it is affected.
  const Extent extent = Picture()
                            .Lung({6, 10, 20, 40})
                            .Lung({6, 40, 20, 10}, 1)
                            .Lung({38, 10, 20, 40}, 0.5F)
                            .Measure();
  ASSERT_TRUE(extent.right && extent.left && extent.geographic_extent);
  EXPECT_NEAR(extent.right->area, 800.0 / (kSide * kSide), 1e-9);
  EXPECT_NEAR(extent.right->affected, 0.25, 1e-5);
  EXPECT_NEAR(extent.left->affected, 0.5, 1e-5);
  EXPECT_NEAR(*extent.geographic_extent, 4 * 0.25 + 4 * 0.5, 1e-4);
  EXPECT_NEAR(*extent.opacity, 3 * 0.25 + 3 * 0.5, 1e-4);
}

TEST(Extent, LungsThatTouchAreCutInTheMiddle) {
  const Extent extent = Picture().Lung({4, 10, 28, 40}).Lung({32, 10, 28, 40}, 1).Measure();
  ASSERT_TRUE(extent.right && extent.left);
  EXPECT_NEAR(extent.right->affected, 0, 1e-5);
  EXPECT_NEAR(extent.left->affected, 1, 1e-5);
}

TEST(Extent, LungThatIsNotFoundCountsAsTheOther) {
  const Extent extent = Picture().Lung({40, 10, 18, 40}, 0.25F).Measure();
  EXPECT_FALSE(extent.right);
  ASSERT_TRUE(extent.left && extent.geographic_extent);
  EXPECT_NEAR(*extent.geographic_extent, 2, 1e-4);
}

TEST(Extent, SpecksAreNoLungs) {
  const Extent extent =
      Picture().Lung({6, 10, 20, 40}).Lung({38, 10, 20, 40}).Lung({60, 60, 4, 4}, 1).Measure();
  ASSERT_TRUE(extent.left);
  EXPECT_NEAR(extent.left->affected, 0, 1e-5);
  const Extent nothing = Picture().Lung({60, 60, 4, 4}, 1).Measure();
  EXPECT_FALSE(nothing.right || nothing.left || nothing.geographic_extent);
}

TEST(ExtentMeter, WantsANetworkThatLabelsPixels) {
  const ModelSpec spec = testing::SmallSpec();
  const Network network = *Network::Create(spec, 1);
  EXPECT_THAT(ExtentMeter::Create({.info = {spec, {}}, .state = network.State()}, "cpu", 1),
              StatusIs(kInvalid, HasSubstr("want a unet")));
}

TEST(ExtentMeter, MapIsOfTheSquareAndOnlyInLungs) {
  const ModelSpec spec = {.architecture = "unet",
                          .channels = 1,
                          .input_size = 32,
                          .classes = {"elsewhere", "lung", "opacity"}};
  const Network network = *Network::Create(spec, 1);
  ASSERT_OK_AND_ASSIGN(
      ExtentMeter meter,
      ExtentMeter::Create({.info = {spec, {}}, .state = network.State()}, "cpu", 1));
  const testing::TempFolder folder;
  testing::WriteImage(folder / "a.png", testing::Ramp(80, 60, CV_8UC1, 0, 3));
  ASSERT_OK_AND_ASSIGN(const MeasuredPicture measured, meter.Measure(folder / "a.png"));
  EXPECT_EQ(measured.image.width, 80);
  ASSERT_EQ(measured.map.size(), 32U * 32U);
  for (std::size_t i = 0; i < measured.map.size(); ++i) {
    if (measured.probabilities[3 * i] < 0.5F) continue;
    EXPECT_EQ(measured.map[i], 0);
  }
  EXPECT_FALSE(meter.Measure(folder / "none.png").ok());
}

}  // namespace
}  // namespace consilium
