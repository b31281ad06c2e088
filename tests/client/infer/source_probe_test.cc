#include "client/infer/source_probe.h"

#include <gmock/gmock.h>

#include "common/base/random.h"
#include "tests/testing/status_matchers.h"

namespace consilium {
namespace {

constexpr int kWidth = 8;

// 300 images of three sources; in the first feature each source has a value of its own, where
// `telling`. Two images a patient.
StatusOr<std::optional<SourceProbe>> Probe(bool telling) {
  Random random(3);
  std::vector<float> features;
  std::vector<std::string> sources;
  std::vector<std::string> groups;
  for (int i = 0; i < 300; ++i) {
    const int source = i % 3;
    for (int f = 0; f < kWidth; ++f) {
      const double shift = telling && f == source ? 3 : 0;
      features.push_back(static_cast<float>(random.Normal() + shift));
    }
    sources.push_back(fmt::format("source-{}", source));
    groups.push_back(fmt::format("patient-{}", i / 2));
  }
  return ProbeSources(features, kWidth, sources, groups);
}

TEST(SourceProbe, TellsSourcesThatFeaturesGiveAway) {
  ASSERT_OK_AND_ASSIGN(const auto probe, Probe(/*telling=*/true));
  ASSERT_TRUE(probe);
  EXPECT_EQ(probe->images, 300U);
  EXPECT_EQ(probe->sources, 3U);
  EXPECT_GT(probe->balanced_accuracy, 0.9);
}

TEST(SourceProbe, IsAtChanceWhereTheyDoNot) {
  ASSERT_OK_AND_ASSIGN(const auto probe, Probe(/*telling=*/false));
  ASSERT_TRUE(probe);
  EXPECT_NEAR(probe->accuracy, 1.0 / 3, 0.09);
  EXPECT_NEAR(probe->balanced_accuracy, 1.0 / 3, 0.09);
}

// A feature that names the patient, of whom no other picture is in the fit, tells nothing.
TEST(SourceProbe, PatientsAreNotInTheFitThatAnswersThem) {
  std::vector<float> features;
  std::vector<std::string> sources;
  std::vector<std::string> groups;
  Random random(5);
  for (int patient = 0; patient < 40; ++patient) {
    const bool east = random.Uniform() < 0.5;
    for (int image = 0; image < 4; ++image) {
      for (int f = 0; f < 40; ++f) features.push_back(f == patient ? 1.0F : 0.0F);
      sources.push_back(east ? "east" : "west");
      groups.push_back(fmt::format("p{}", patient));
    }
  }
  ASSERT_OK_AND_ASSIGN(const auto probe, ProbeSources(features, 40, sources, groups));
  ASSERT_TRUE(probe);
  EXPECT_LT(probe->balanced_accuracy, 0.65);
}

TEST(SourceProbe, OneSourceOrTooFewImagesGiveNone) {
  const std::vector<float> features(24, 1.0F);
  const std::vector<std::string> groups(24);
  std::vector<std::string> sources(24, "east");
  EXPECT_FALSE(*ProbeSources(features, 1, sources, groups));
  std::fill_n(sources.begin(), 9, "west");
  EXPECT_FALSE(*ProbeSources(features, 1, sources, groups));
  std::fill_n(sources.begin(), 10, "");
  EXPECT_FALSE(*ProbeSources(features, 1, sources, groups));
}

}  // namespace
}  // namespace consilium
