#include "client/infer/novelty.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

namespace consilium {
namespace {

using ::testing::ElementsAre;
using ::testing::Field;

TEST(KnownPictures, NearestAreTheNearestAndTheFirstOfEqualOnes) {
  const KnownPictures known(2, {1, 0, 0, 1, -1, 0, 0, 1});
  EXPECT_EQ(known.size(), 4U);
  const std::vector<float> picture = {0.6F, 0.8F};
  EXPECT_THAT(known.Nearest(picture, 3),
              ElementsAre(Field(&Neighbour::index, 1), Field(&Neighbour::index, 3),
                          Field(&Neighbour::index, 0)));
  EXPECT_NEAR(known.Nearest(picture, 1)[0].distance, std::sqrt(0.36 + 0.04), 1e-6);
  EXPECT_EQ(known.Nearest(picture, 9).size(), 4U);
}

TEST(KnownPictures, DistanceIsThatOfTheNearestUntilThereAreMany) {
  EXPECT_NEAR(KnownPictures(2, {1, 0, 0, 1}).Distance(std::vector<float>{0, 1}), 0, 1e-9);
  EXPECT_EQ(KnownPictures(2, {}).Distance(std::vector<float>{0, 1}), 2);
  // Of 16 the second nearest: one picture that is like no other does not make its like known.
  std::vector<float> features = {0, 1};
  for (int i = 0; i < 15; ++i) features.insert(features.end(), {1, 0});
  EXPECT_NEAR(KnownPictures(2, features).Distance(std::vector<float>{0, 1}), std::sqrt(2), 1e-6);
}

TEST(Energy, IsTheNegativeLogarithmOfTheSumOfExponentials) {
  EXPECT_NEAR(Energy(std::vector<float>{0, 0}), -std::log(2), 1e-9);
  EXPECT_NEAR(Energy(std::vector<float>{1, 2, 3}),
              -std::log(std::exp(1) + std::exp(2) + std::exp(3)), 1e-6);
  EXPECT_NEAR(Energy(std::vector<float>{1000, 999}), -1000 - std::log1p(std::exp(-1)), 1e-9);
}

TEST(Quantile, IsAValueThatTheShareIsNotAbove) {
  EXPECT_EQ(Quantile({3, 1, 2, 4}, 0.5), 2);
  EXPECT_EQ(Quantile({3, 1, 2, 4}, 0.51), 3);
  EXPECT_EQ(Quantile({3, 1, 2, 4}, 1), 4);
  EXPECT_EQ(Quantile({3, 1, 2, 4}, 0), 1);
  EXPECT_EQ(Quantile({}, 0.5), std::numeric_limits<double>::infinity());
}

// Bright with two dark upright stripes, moved to the right by so much.
Image Chest(int moved, bool inverted = false) {
  Image image{.width = 64, .height = 64, .pixels = {}};
  for (int y = 0; y < 64; ++y) {
    for (int x = 0; x < 64; ++x) {
      const int at = x - moved;
      const bool is_lung = y > 8 && y < 52 && ((at > 8 && at < 26) || (at > 36 && at < 54));
      image.pixels.push_back(is_lung != inverted ? 15'000 : 45'000);
    }
  }
  return image;
}

TEST(Layout, ChestsAreNearEachOtherAndOtherPicturesFar) {
  const KnownPictures known(kLayoutSide * kLayoutSide, LayoutOf(Chest(0)));
  const auto distance = [&](const Image& picture) {
    return LayoutDistance(known, LayoutOf(picture));
  };
  EXPECT_NEAR(distance(Chest(0)), 0, 1e-6);
  EXPECT_LT(distance(Chest(2)), 0.7);
  EXPECT_NEAR(distance(Chest(0, /*inverted=*/true)), 2, 1e-3);
  Image lying = Chest(0);
  for (std::size_t y = 0; y < 64; ++y) {
    for (std::size_t x = 0; x < y; ++x)
      std::swap(lying.pixels[64 * y + x], lying.pixels[64 * x + y]);
  }
  EXPECT_GT(distance(lying), 0.9);
}

TEST(Layout, BrightnessAndContrastDoNotMatter) {
  Image darker = Chest(0);
  for (std::uint16_t& pixel : darker.pixels) pixel = static_cast<std::uint16_t>(pixel / 3);
  const KnownPictures known(kLayoutSide * kLayoutSide, LayoutOf(Chest(0)));
  EXPECT_NEAR(LayoutDistance(known, LayoutOf(darker)), 0, 0.01);
}

TEST(Layout, BlankPictureIsAsFarAsCanBe) {
  const KnownPictures known(kLayoutSide * kLayoutSide, LayoutOf(Chest(0)));
  const Image blank{.width = 64, .height = 64, .pixels = std::vector<std::uint16_t>(4096, 9000)};
  EXPECT_EQ(LayoutDistance(known, LayoutOf(blank)), 2);
}

}  // namespace
}  // namespace consilium
