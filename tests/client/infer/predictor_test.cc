#include "client/infer/predictor.h"

#include <gmock/gmock.h>

#include <cmath>

#include "client/infer/overlay.h"
#include "client/train/embedding.h"
#include "client/train/trainer.h"
#include "tests/testing/image_files.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::kInvalid;
using testing::StatusIs;

const ModelSpec kSpec{.architecture = "simple_cnn",
                      .channels = 1,
                      .input_size = 32,
                      .classes = {"covid", "normal", "pneumonia"},
                      .mean = 0.5,
                      .stddev = 0.25};

class PredictorTest : public ::testing::Test {
 protected:
  PredictorTest() {
    for (int i = 0; i < 20; ++i) {  // more than a batch
      const auto path = folder_ / fmt::format("{:02}.png", i);
      testing::WriteImage(path, testing::Ramp(40 + i, 40, CV_8UC1, 3 * i, 4));
      paths_.push_back(path);
    }
  }

  std::vector<Prediction> PredictAll(Predictor& predictor) {
    std::vector<Prediction> all;
    EXPECT_THAT(predictor.Predict(paths_, {}, [&](const auto& one) { all.push_back(*one); }),
                IsOk());
    return all;
  }
  Predictor Make(const PredictOptions& options, std::optional<Calibration> calibration = {}) {
    return *Predictor::Create(model_, options, std::move(calibration));
  }
  // A calibration that knows these features alone.
  static Calibration Knowing(std::vector<float> features, int width) {
    const std::size_t pictures = features.size() / static_cast<std::size_t>(width);
    return {.classes = kSpec.classes,
            .temperature = 2,
            .specificity = 0.9,
            .thresholds = {0.0, 1.1, std::nullopt},
            .known = KnownPictures(width, std::move(features)),
            .known_paths = std::vector<std::string>(pictures, "known.png"),
            .known_labels = std::vector<std::string>(pictures, "covid"),
            .distance_limit = 0.01,
            .energy_limit = 100,
            .layout_limit = 3};
  }
  // The features of the first image.
  Embedding EmbedFirst() {
    Network network = *Network::Create(kSpec, 3);
    const Image image = CropAndResize(*ReadImage(paths_[0]), kSpec.input_size);
    Batch batch{.count = 1, .channels = 1, .height = 32, .width = 32};
    batch.pixels.resize(32 * 32);
    Random unused(0);
    ToNetworkInput(image.pixels, 32, {kSpec.mean, kSpec.stddev}, {}, unused, 1, batch.pixels);
    return *Embed(network, batch);
  }

  testing::TempFolder folder_;
  const Model model_{.info = {kSpec, {}}, .state = Network::Create(kSpec, 3)->State()};
  std::vector<std::filesystem::path> paths_;
};

TEST_F(PredictorTest, GivesEachImagesProbabilitiesInOrderWhicheverAreBesideIt) {
  Predictor predictor = Make({});
  const auto all = PredictAll(predictor);
  ASSERT_EQ(all.size(), paths_.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i].path, paths_[i]);
    EXPECT_NEAR(all[i].probabilities[0] + all[i].probabilities[1] + all[i].probabilities[2], 1,
                1e-5);
    EXPECT_FALSE(all[i].judgement);
    EXPECT_TRUE(all[i].spread.empty());
    ASSERT_OK_AND_ASSIGN(const auto alone,
                         predictor.Explain(paths_[i], {}, ExplanationMethod::kGradCam, {}));
    for (std::size_t c = 0; c < 3; ++c) {
      EXPECT_NEAR(alone.prediction.probabilities[c], all[i].probabilities[c], 1e-5);
    }
  }
}

TEST_F(PredictorTest, UnreadableImageIsHandedOnAsItsErrorAndTheRestIsPredicted) {
  paths_[1] = folder_ / "none.png";
  Predictor predictor = Make({});
  std::vector<StatusOr<Prediction>> all;
  ASSERT_THAT(predictor.Predict(paths_, {}, [&](const auto& one) { all.push_back(one); }), IsOk());
  ASSERT_EQ(all.size(), paths_.size());
  EXPECT_FALSE(all[1].ok());
  EXPECT_EQ(all[2]->path, paths_[2]);
}

TEST_F(PredictorTest, SpreadIsTheSameEachTimeAndWhicheverImagesAreBesideIt) {
  Predictor predictor = Make({.draws = 6});
  const auto first = PredictAll(predictor);
  const auto again = PredictAll(predictor);
  std::swap(paths_[0], paths_[7]);
  const auto moved = PredictAll(predictor);
  double sum = 0;
  for (std::size_t c = 0; c < 3; ++c) {
    EXPECT_EQ(first[0].spread[c], again[0].spread[c]);
    EXPECT_NEAR(first[0].spread[c], moved[7].spread[c], 1e-5);
    EXPECT_GE(first[0].spread[c], 0);
    sum += static_cast<double>(first[0].spread[c]);
  }
  EXPECT_GT(sum, 1e-6);
}

TEST_F(PredictorTest, CalibrationCoolsCallsAndTellsWhatIsUnlike) {
  const Embedding first = EmbedFirst();
  Predictor plain = Make({});
  Predictor judged = Make({}, Knowing(first.features, first.width));
  paths_ = {paths_[0], folder_ / "noise.png"};
  cv::Mat noise(40, 40, CV_8UC1);
  cv::theRNG().state = 7;
  cv::randu(noise, 0, 255);
  testing::WriteImage(paths_[1], noise);
  const auto raw = PredictAll(plain);
  const auto cooled = PredictAll(judged);
  for (std::size_t i = 0; i < 2; ++i) {
    std::vector<double> roots;
    for (const float p : raw[i].probabilities) roots.push_back(std::sqrt(static_cast<double>(p)));
    const double sum = roots[0] + roots[1] + roots[2];  // softmax at 2 is the root, normalised
    for (std::size_t c = 0; c < 3; ++c) {
      EXPECT_NEAR(cooled[i].probabilities[c], roots[c] / sum, 1e-5);
    }
    EXPECT_THAT(cooled[i].judgement->called, ::testing::ElementsAre(true, false, false));
  }
  EXPECT_FALSE(cooled[0].judgement->is_unlike);
  EXPECT_NEAR(cooled[0].judgement->distance, 0, 1e-3);
  EXPECT_EQ(cooled[0].judgement->similar.size(), 1U);
  EXPECT_TRUE(cooled[1].judgement->is_unlike);
}

TEST_F(PredictorTest, EnergyBeyondItsLimitIsUnlikeToo) {
  const Embedding first = EmbedFirst();
  Calibration calibration = Knowing(first.features, first.width);
  calibration.energy_limit = -1000;
  Predictor predictor = Make({}, calibration);
  paths_.resize(1);
  EXPECT_TRUE(PredictAll(predictor)[0].judgement->is_unlike);
}

TEST_F(PredictorTest, LayoutBeyondItsLimitIsUnlikeToo) {
  const Embedding first = EmbedFirst();
  Calibration calibration = Knowing(first.features, first.width);
  calibration.layouts = KnownPictures(kLayoutSide * kLayoutSide, LayoutOf(*ReadImage(paths_[0])));
  calibration.layout_limit = 0.1;
  Predictor predictor = Make({}, calibration);
  paths_.resize(1);
  EXPECT_NEAR(PredictAll(predictor)[0].judgement->layout_distance, 0, 0.05);
  EXPECT_FALSE(PredictAll(predictor)[0].judgement->is_unlike);
  calibration.layout_limit = -1;
  predictor = Make({}, calibration);
  EXPECT_TRUE(PredictAll(predictor)[0].judgement->is_unlike);
}

TEST_F(PredictorTest, CalibrationOfAnotherNetworkIsRefused) {
  Calibration of_others = Knowing({1, 0}, 2);
  Predictor predictor = Make({}, of_others);
  EXPECT_THAT(predictor.Predict(paths_, {}, [](const auto&) {}),
              StatusIs(kInvalid, HasSubstr("of 2 features")));
  of_others.classes = {"a", "b", "c"};
  EXPECT_THAT(Predictor::Create(model_, {}, of_others), StatusIs(kInvalid, HasSubstr("a, b, c")));
}

TEST_F(PredictorTest, ExplainsTheClassThatIsAskedFor) {
  Predictor predictor = Make({});
  ASSERT_OK_AND_ASSIGN(const auto explained,
                       predictor.Explain(paths_[3], 2, ExplanationMethod::kGradCam, {}));
  EXPECT_EQ(explained.explained, 2);
  EXPECT_EQ(explained.image.width, 43);
  EXPECT_EQ(explained.map.size(), 32U * 32U);
  EXPECT_THAT(predictor.Explain(folder_ / "none", {}, ExplanationMethod::kGradCam, {}),
              StatusIs(absl::StatusCode::kNotFound));
}

class OverlayTest : public ::testing::Test {
 protected:
  testing::TempFolder folder_;
  const Image picture_{
      .width = 60, .height = 40, .pixels = std::vector<std::uint16_t>(60 * 40, 32768)};
};

TEST_F(OverlayTest, LeavesThePictureWhereTheMapIsNothingAndColoursItWhereItIsNot) {
  std::vector<float> map(16 * 16, 0);
  map[0] = 1;
  ASSERT_THAT(WriteOverlay(folder_ / "o.png", picture_, map, 16), IsOk());
  const cv::Mat overlay = cv::imread((folder_ / "o.png").string(), cv::IMREAD_COLOR);
  ASSERT_EQ(overlay.rows, 256);
  ASSERT_GT(overlay.cols, 256);  // with its scale
  EXPECT_EQ(overlay.at<cv::Vec3b>(200, 200), cv::Vec3b(128, 128, 128));
  const auto marked = overlay.at<cv::Vec3b>(2, 2);
  EXPECT_GT(marked[2], 180);  // cividis ends in yellow
  EXPECT_LT(marked[0], 127);
  EXPECT_EQ(std::filesystem::status(folder_ / "o.png").permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST_F(OverlayTest, FolderThatIsNotThereIsAnError) {
  EXPECT_FALSE(WriteOverlay(folder_ / "none" / "o.png", picture_, std::vector<float>(4), 2).ok());
}

TEST(Embedding, IsWhatThePredictionIsMadeOf) {
  Random random(1);
  for (const std::string& architecture : Architectures()) {
    if (architecture == "unet") continue;  // it has no scores of pictures
    ModelSpec spec = kSpec;
    spec.architecture = architecture;
    spec.input_size = 64;
    Network network = *Network::Create(spec, 1);
    Batch batch{.count = 2, .channels = 1, .height = 64, .width = 64};
    for (int i = 0; i < 2 * 64 * 64; ++i) {
      batch.pixels.push_back(static_cast<float>(random.Normal()));
    }
    ASSERT_OK_AND_ASSIGN(const Embedding embedding, Embed(network, batch));
    ASSERT_OK_AND_ASSIGN(const auto p, Predict(network, batch));
    ASSERT_EQ(embedding.features.size(), 2 * static_cast<std::size_t>(embedding.width));
    for (std::size_t i = 0; i < 2; ++i) {
      const auto logits = std::span(embedding.logits).subspan(3 * i, 3);
      for (std::size_t c = 0; c < 3; ++c) {
        EXPECT_NEAR(std::exp(static_cast<double>(logits[c]) + Energy(logits)), p[3 * i + c], 1e-5);
      }
      double norm = 0;
      for (int f = 0; f < embedding.width; ++f) {
        const float value = embedding.features[i * static_cast<std::size_t>(embedding.width) +
                                               static_cast<std::size_t>(f)];
        norm += static_cast<double>(value) * static_cast<double>(value);
      }
      EXPECT_NEAR(norm, 1, 1e-4) << architecture;
    }
  }
}

}  // namespace
}  // namespace consilium
