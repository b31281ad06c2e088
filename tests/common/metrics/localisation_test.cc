#include "common/metrics/localisation.h"

#include <gmock/gmock.h>

namespace consilium {
namespace {

using ::testing::Optional;

const std::vector<float> kMap = {0, 0.25F, 1, 0.75F};
const Region kRegion = {false, false, true, true};

TEST(Localisation, SharesAndOverlapsAreThoseOfTheDefinition) {
  EXPECT_THAT(ShareInside(kMap, kRegion), Optional(1.75 / 2));
  EXPECT_THAT(PointsInside(kMap, kRegion), Optional(true));
  EXPECT_THAT(PointsInside(kMap, {true, true, false, true}), Optional(false));
  EXPECT_EQ(Overlap(kMap, 0.5, kRegion), 1);
  EXPECT_EQ(Overlap(kMap, 0.2, kRegion), 2.0 / 3);
  EXPECT_EQ(Overlap(kMap, 0.8, kRegion), 0.5);
  EXPECT_EQ(AreaShare(kRegion), 0.5);
}

TEST(Localisation, MapThatMarksNothingHasNoShareAndNoPoint) {
  const std::vector<float> nothing(4, 0);
  EXPECT_EQ(ShareInside(nothing, kRegion), std::nullopt);
  EXPECT_EQ(PointsInside(nothing, kRegion), std::nullopt);
  EXPECT_EQ(Overlap(nothing, 0.5, kRegion), 0);
  EXPECT_EQ(Overlap(nothing, 0.5, Region(4)), 0);
  EXPECT_EQ(AreaShare({}), 0);
}

}  // namespace
}  // namespace consilium
