#include <gmock/gmock.h>

#include <cmath>

#include "client/batch/batch.h"
#include "client/train/pixel_loss_internal.h"
#include "client/train/trainer.h"
#include "common/metrics/report.h"
#include "tests/testing/fixed_batches.h"
#include "tests/testing/status_matchers.h"

namespace consilium {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::kInvalid;
using testing::StatusIs;

constexpr int kSide = 32;
const ModelSpec kSpec = {.architecture = "unet",
                         .channels = 1,
                         .input_size = kSide,
                         .classes = {"elsewhere", "lung", "opacity"}};

// What is known of a batch's pixels.
enum class Known { kTissue, kExtent };

// Two bright upright rectangles are lungs; of the left one the lower part is brighter still:
// opacity, a quarter of all lung.
Batch Chests(int count, Known known, std::uint64_t seed) {
  Random random(seed);
  Batch batch{.count = count, .channels = 1, .height = kSide, .width = kSide};
  for (int i = 0; i < count; ++i) {
    for (int y = 0; y < kSide; ++y) {
      for (int x = 0; x < kSide; ++x) {
        const bool is_left = x >= 4 && x < 14;
        const bool is_lung = y >= 4 && y < 28 && (is_left || (x >= 18 && x < 28));
        const bool is_opacity = is_lung && is_left && y >= 16;
        batch.pixels.push_back(
            static_cast<float>(0.2 * random.Normal() + (is_lung ? 1 : 0) + (is_opacity ? 1.5 : 0)));
        const std::int64_t tissue = (is_lung ? 1 : 0) + (is_opacity ? 1 : 0);
        batch.labels.push_back(known == Known::kTissue || !is_lung ? tissue : kLungOfExtent + 25);
      }
    }
  }
  return batch;
}

torch::Tensor Labels(const std::vector<std::int64_t>& labels) {
  return torch::tensor(labels).reshape({1, 1, static_cast<std::int64_t>(labels.size())});
}

TEST(PixelLoss, IsThatOfTheDefinition) {
  // Probabilities 1/2, 1/4, 1/4 everywhere.
  const torch::Tensor scores =
      torch::tensor({std::log(2.0F), 0.0F, 0.0F}).reshape({1, 3, 1, 1}).expand({1, 3, 1, 4});
  const auto loss = [&](const std::vector<std::int64_t>& labels) {
    return PixelLoss(scores, Labels(labels)).item<double>();
  };
  EXPECT_NEAR(loss({0, 0, 0, 0}), std::log(2.0), 1e-6);
  EXPECT_NEAR(loss({0, 1, 2, 2}), (std::log(2.0) + 3 * std::log(4.0)) / 4, 1e-6);
  EXPECT_NEAR(loss({kSomeLung, 0, 0, 0}), std::log(2.0), 1e-6);  // a quarter and a quarter
  // Half of the lung is affected where four fifths should be, and every pixel by a half; the
  // weights are 2 and 0.2.
  EXPECT_NEAR(loss({kLungOfExtent + 80, kLungOfExtent + 80, 0, 0}),
              std::log(2.0) + 2 * 0.3 * 0.3 + 0.2 * 0.25, 1e-6);
}

TEST(PixelLoss, PicturesWithoutAKnownExtentDoNotDiluteIt) {
  const torch::Tensor scores = torch::zeros({2, 3, 1, 2});
  const auto with = [&](std::int64_t second) {
    const torch::Tensor labels =
        torch::tensor({std::int64_t{kLungOfExtent}, std::int64_t{kLungOfExtent}, second, second})
            .reshape({2, 1, 2});
    return PixelLoss(scores, labels).item<double>();
  };
  // (1/2 - 0)^2 and 1/2 (1 - 1/2) of the first picture alone, then of both.
  EXPECT_NEAR(with(0), (std::log(1.5) + std::log(3.0)) / 2 + 2 * 0.25 + 0.2 * 0.25, 1e-6);
  EXPECT_NEAR(with(kLungOfExtent), std::log(1.5) + 2 * 0.25 + 0.2 * 0.25, 1e-6);
}

TEST(Unet, LearnsTissuesFromMasks) {
  Network network = *Network::Create(kSpec, 1);
  testing::FixedBatches source({Chests(8, Known::kTissue, 1), Chests(8, Known::kTissue, 2)});
  ASSERT_THAT(Train(network, source, {.epochs = 40, .learning_rate = 0.05}, {}), IsOk());
  testing::FixedBatches others({Chests(4, Known::kTissue, 3)});
  ASSERT_OK_AND_ASSIGN(const Evaluation evaluation, Evaluate(network, others, {}));
  EXPECT_EQ(evaluation.examples(), 4U * kSide * kSide);
  for (const ClassReport& tissue : Summarise(evaluation).classes) {
    EXPECT_GT(*tissue.f1, 0.9);
  }
}

TEST(Unet, LearnsOpacitiesFromTheirExtentAlone) {
  Network network = *Network::Create(kSpec, 1);
  // Where nothing is affected teaches what healthy lung looks like.
  Batch healthy = Chests(8, Known::kTissue, 4);
  for (std::size_t i = 0; i < healthy.labels.size(); ++i) {
    if (healthy.labels[i] == 2) {
      healthy.labels[i] = 1;
      healthy.pixels[i] -= 1.5F;
    }
  }
  testing::FixedBatches source(
      {Chests(8, Known::kExtent, 1), healthy, Chests(8, Known::kExtent, 2)});
  ASSERT_THAT(Train(network, source,
                    {.epochs = 35, .optimizer = OptimizerKind::kAdamW, .learning_rate = 3e-3}, {}),
              IsOk());
  testing::FixedBatches others({Chests(4, Known::kTissue, 3)});
  ASSERT_OK_AND_ASSIGN(const Evaluation evaluation, Evaluate(network, others, {}));
  EXPECT_GT(*Summarise(evaluation).classes[2].f1, 0.7);
}

TEST(Unet, PixelsOfUnknownTissueAreNotEvaluated) {
  Network network = *Network::Create(kSpec, 1);
  testing::FixedBatches source({Chests(2, Known::kExtent, 1)});
  ASSERT_OK_AND_ASSIGN(const Evaluation evaluation, Evaluate(network, source, {}));
  EXPECT_EQ(evaluation.examples(), 2U * (kSide * kSide - 2 * 10 * 24));
}

TEST(Unet, HasNoScoresOfPictures) {
  Network network = *Network::Create(kSpec, 1);
  testing::FixedBatches source({Chests(2, Known::kTissue, 1)});
  EXPECT_THAT(Score(network, source, {}), StatusIs(kInvalid, HasSubstr("labels pixels")));
}

TEST(Unet, ProbabilitiesOfAPixelAddUp) {
  Network network = *Network::Create(kSpec, 1);
  const Batch batch = Chests(2, Known::kTissue, 1);
  ASSERT_OK_AND_ASSIGN(const std::vector<float> p, Predict(network, batch));
  ASSERT_EQ(p.size(), 2U * kSide * kSide * 3);
  for (std::size_t i = 0; i < p.size(); i += 3) EXPECT_NEAR(p[i] + p[i + 1] + p[i + 2], 1, 1e-5);
}

}  // namespace
}  // namespace consilium
