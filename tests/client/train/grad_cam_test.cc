#include "client/train/grad_cam.h"

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

TEST(GradCam, FindsWhatTheNetworkLooksAt) {
  const ModelSpec spec{
      .architecture = "simple_cnn", .channels = 1, .input_size = 48, .classes = {"a", "b"}};
  Network network = *Network::Create(spec, 1);
  testing::FixedBatches source({Corners(spec, 16, 1), Corners(spec, 16, 2)});
  ASSERT_THAT(Train(network, source, {.epochs = 12, .learning_rate = 0.05}, {}), IsOk());
  const Batch batch = Corners(spec, 6, 3);
  ASSERT_OK_AND_ASSIGN(const std::vector<float> maps, GradCam(network, batch, batch.labels));
  const std::size_t area = 48 * 48;
  ASSERT_EQ(maps.size(), 6 * area);
  for (std::size_t i = 0; i < 6; ++i) {
    const auto map = std::span(maps).subspan(i * area, area);
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
}

// A second time, and after other images, the same map: nothing is left of a call.
TEST(GradCam, LeavesTheNetworkAsItWas) {
  const ModelSpec spec{
      .architecture = "resnet18", .channels = 1, .input_size = 64, .classes = {"a", "b"}};
  Network network = *Network::Create(spec, 1);
  const auto before = network.State().values;
  const Batch batch = Corners(spec, 2, 3);
  const auto map = *GradCam(network, batch, batch.labels);
  EXPECT_EQ(*GradCam(network, batch, batch.labels), map);
  EXPECT_EQ(network.State().values, before);
}

}  // namespace
}  // namespace consilium
