#include "client/data/synth.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <numeric>

#include "client/data/check.h"
#include "common/base/file.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using testing::IsOk;
using testing::StatusIs;

std::size_t Marked(const Image& mask) {
  return static_cast<std::size_t>(std::ranges::count_if(mask.pixels, [](auto v) { return v > 0; }));
}

TEST(Synth, OpacitiesLieInTheLungsAndOnlyWhereTheLabelSays) {
  for (int label = 0; label < 3; ++label) {
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
      Random random(seed);
      const Phantom phantom = DrawPhantom(StyleOfSite(0), label, random);
      EXPECT_EQ(Marked(phantom.opacities) > 0, label > 0) << label << " " << seed;
      // The softened edge of the lungs may reach a little past their mask.
      std::size_t outside = 0;
      for (std::size_t i = 0; i < phantom.lungs.pixels.size(); ++i) {
        outside += phantom.opacities.pixels[i] > 0 && phantom.lungs.pixels[i] == 0 ? 1 : 0;
      }
      EXPECT_LE(outside, Marked(phantom.opacities) / 10);
    }
  }
}

TEST(Synth, OpacitiesAreBrighterThanTheSameLungWithout) {
  // The same anatomy and noise: only the label differs up to where the disease is drawn.
  Random with(4);
  const Phantom sick = DrawPhantom({.noise = 0}, 1, with);
  Random without(4);
  const Phantom clear = DrawPhantom({.noise = 0}, 0, without);
  double gain = 0;
  for (std::size_t i = 0; i < sick.image.pixels.size(); ++i) {
    if (sick.opacities.pixels[i] > 0) gain += sick.image.pixels[i] - clear.image.pixels[i];
  }
  EXPECT_GT(gain / static_cast<double>(Marked(sick.opacities)), 0.05 * 65535);
}

TEST(Synth, HospitalsDifferAndTheSameOneDoesNot) {
  for (int a = 0; a < 6; ++a) {
    const SynthStyle style = StyleOfSite(a);
    EXPECT_EQ(style.gamma, StyleOfSite(a).gamma);
    EXPECT_NEAR(std::accumulate(style.balance.begin(), style.balance.end(), 0.0), 1, 1e-9);
    for (int b = 0; b < a; ++b) EXPECT_NE(style.balance, StyleOfSite(b).balance);
  }
}

TEST(Synth, CohortIsSoundRepeatableAndNotOverwritten) {
  const testing::TempFolder folder;
  ASSERT_THAT(WriteSynthCohort(folder / "a", 1, 30, 9, {}), IsOk());
  ASSERT_THAT(WriteSynthCohort(folder / "b", 1, 30, 9, {}), IsOk());
  const std::string name = "images/synthetic_s1_00007.png";
  EXPECT_EQ(*ReadFile(folder / "a" / name), *ReadFile(folder / "b" / name));
  ASSERT_OK_AND_ASSIGN(const DataReport report, CheckData({.path = folder / "a"}, {}, {}));
  EXPECT_TRUE(report.IsSound());
  EXPECT_EQ(report.images, 30U);
  EXPECT_GT(report.patients, 9U);
  EXPECT_THAT(WriteSynthCohort(folder / "a", 1, 30, 9, {}),
              StatusIs(absl::StatusCode::kAlreadyExists));
}

TEST(CheckData, FindsLeaksDuplicatesAndDamage) {
  const testing::TempFolder folder;
  ASSERT_THAT(WriteSynthCohort(folder / "a", 0, 12, 1, {}), IsOk());
  const auto image = [](int i) { return fmt::format("images/synthetic_s0_{:05}.png", i); };
  std::filesystem::copy_file(folder / "a" / image(0), folder / "a/copy.png");
  ASSERT_THAT(WriteFileAtomically(folder / "a/bad.png", "junk"), IsOk());
  ASSERT_THAT(WriteFileAtomically(folder / "m.csv",
                                  "path,label,patient_id,split\n"
                                  "a/" +
                                      image(0) +
                                      ",covid,p1,train\n"
                                      "a/copy.png,covid,p2,val\n"
                                      "a/" +
                                      image(3) +
                                      ",covid,p1,val\n"
                                      "a/bad.png,normal,p3,train\n"),
              IsOk());
  ASSERT_OK_AND_ASSIGN(const DataReport report, CheckData({.path = folder / "m.csv"}, {}, {}));
  EXPECT_FALSE(report.IsSound());
  EXPECT_EQ(report.unreadable.size(), 1U);
  ASSERT_EQ(report.duplicates.size(), 1U);
  EXPECT_TRUE(report.duplicates[0].across_splits);
  EXPECT_EQ(report.patients_in_two_splits, (std::vector<std::string>{"p1"}));
}

}  // namespace
}  // namespace consilium
