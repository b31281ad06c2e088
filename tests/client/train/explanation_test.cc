#include "client/train/explanation.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "client/train/trainer.h"
#include "tests/testing/fixed_batches.h"
#include "tests/testing/status_matchers.h"

namespace consilium {
namespace {

using testing::IsOk;

// Grey noise; an image of class 0 has a bright square in the upper left corner, one of class 1 in
// the lower right.
Batch Corners(const ModelSpec& spec, int count, std::uint64_t seed) {
  Random random(seed);
  Batch batch{.count = count, .channels = 1, .height = spec.input_size, .width = spec.input_size};
  for (int i = 0; i < count; ++i) {
    const int label = i % 2;
    batch.labels.push_back(label);
    for (int y = 0; y < spec.input_size; ++y) {
      for (int x = 0; x < spec.input_size; ++x) {
        const bool first = x < 12 && y < 12;
        const bool last = x >= spec.input_size - 12 && y >= spec.input_size - 12;
        const bool bright = label == 0 ? first : last;
        batch.pixels.push_back(static_cast<float>(0.3 * random.Normal() + (bright ? 2 : 0)));
      }
    }
  }
  return batch;
}

class ExplanationTest : public ::testing::TestWithParam<std::string> {
 protected:
  ExplanationMethod method() const { return *ParseExplanationMethod(GetParam()); }
};

TEST_P(ExplanationTest, FindsWhatTheNetworkLooksAt) {
  const ModelSpec spec{
      .architecture = "simple_cnn", .channels = 1, .input_size = 48, .classes = {"a", "b"}};
  Network network = *Network::Create(spec, 1);
  testing::FixedBatches source({Corners(spec, 16, 1), Corners(spec, 16, 2)});
  ASSERT_THAT(Train(network, source, {.epochs = 12, .learning_rate = 0.05}, {}), IsOk());
  const Batch batch = Corners(spec, 6, 3);
  ASSERT_OK_AND_ASSIGN(const std::vector<float> maps,
                       Explain(network, batch, batch.labels, method()));
  const std::size_t area = 48 * 48;
  ASSERT_EQ(maps.size(), 6 * area);
  int explained = 0;
  for (std::size_t i = 0; i < 6; ++i) {
    const auto map = std::span(maps).subspan(i * area, area);
    // A network that takes for class 0 whatever is not class 1 loses nothing with its square.
    const bool is_nothing = *std::ranges::max_element(map) == 0;
    if (method() == ExplanationMethod::kOcclusion && is_nothing) continue;
    ++explained;
    EXPECT_NEAR(*std::ranges::max_element(map), 1, 1e-4);
    EXPECT_GE(*std::ranges::min_element(map), 0);
    double upper_left = 0;
    double lower_right = 0;
    for (std::size_t y = 0; y < 48; ++y) {
      for (std::size_t x = 0; x < 48; ++x) {
        (x + y < 48 ? upper_left : lower_right) += static_cast<double>(map[y * 48 + x]);
      }
    }
    EXPECT_EQ(upper_left > lower_right, batch.labels[i] == 0) << i;
  }
  EXPECT_GE(explained, 3);
}

// A second time the same map: nothing is left of a call.
TEST_P(ExplanationTest, LeavesTheNetworkAsItWas) {
  const ModelSpec spec{
      .architecture = "resnet18", .channels = 1, .input_size = 64, .classes = {"a", "b"}};
  Network network = *Network::Create(spec, 1);
  const auto before = network.State().values;
  const Batch batch = Corners(spec, 2, 3);
  ASSERT_OK_AND_ASSIGN(const auto map, Explain(network, batch, batch.labels, method()));
  EXPECT_EQ(*Explain(network, batch, batch.labels, method()), map);
  EXPECT_EQ(network.State().values, before);
}

INSTANTIATE_TEST_SUITE_P(Methods, ExplanationTest, ::testing::ValuesIn(ExplanationMethods()),
                         [](const auto& method) {
                           std::string name = method.param;
                           std::erase_if(name, [](char c) { return c == '-'; });
                           std::ranges::replace(name, '+', 'P');
                           return name;
                         });

TEST(Explanation, EveryNetworkHasGradientsToExplainItBy) {
  for (const std::string& architecture : Architectures()) {
    if (architecture == "unet") continue;  // it says where by itself
    const ModelSpec spec{
        .architecture = architecture, .channels = 1, .input_size = 64, .classes = {"a", "b"}};
    Network network = *Network::Create(spec, 1);
    const Batch batch = Corners(spec, 1, 3);
    for (const auto method : {ExplanationMethod::kGradCam, ExplanationMethod::kGradCamPlusPlus}) {
      ASSERT_OK_AND_ASSIGN(const auto map, Explain(network, batch, batch.labels, method));
      ASSERT_EQ(map.size(), 64U * 64U) << architecture;
      for (const float value : map) ASSERT_TRUE(value >= 0 && value <= 1.0001F) << architecture;
    }
  }
}

TEST(OcclusionTest, StopsWhenAsked) {
  const ModelSpec spec{
      .architecture = "simple_cnn", .channels = 1, .input_size = 48, .classes = {"a", "b"}};
  Network network = *Network::Create(spec, 1);
  const Batch batch = Corners(spec, 1, 3);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_THAT(
      Explain(network, batch, batch.labels, ExplanationMethod::kOcclusion, stop.get_token()),
      testing::StatusIs(absl::StatusCode::kCancelled));
}

TEST(ExplanationMethodTest, UnknownNameIsAnsweredWithTheKnownOnes) {
  EXPECT_THAT(ParseExplanationMethod("lime"),
              testing::StatusIs(testing::kInvalid, ::testing::HasSubstr("grad-cam++")));
}

}  // namespace
}  // namespace consilium
