#include "client/nn/network.h"

#include <gmock/gmock.h>

#include <fstream>
#include <numeric>

#include "client/nn/cost.h"
#include "client/nn/network_internal.h"
#include "common/model/model_file.h"
#include "tests/testing/fixed_batches.h"
#include "tests/testing/python.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::kInvalid;
using testing::StatusIs;

ModelSpec Spec(const std::string& architecture, int channels = 1, int input_size = 64) {
  return {.architecture = architecture,
          .channels = channels,
          .input_size = input_size,
          .classes = {"covid", "normal", "pneumonia"}};
}

ModelSpec Unet() {
  ModelSpec spec = Spec("unet");
  spec.classes.assign(kTissues.begin(), kTissues.end());
  return spec;
}

std::size_t Parameters(const Network& network) {
  std::size_t count = 0;
  for (const TensorSpec& tensor : network.layout()->tensors()) {
    if (tensor.role == TensorRole::kParameter) count += tensor.NumElements();
  }
  return count;
}

// The published counts are for 1000 classes; only the last layer depends on their number.
TEST(Network, ParameterCountsAreThePublishedOnes) {
  constexpr std::size_t kClasses = 3;
  const auto with_head = [](std::size_t published, std::size_t features) {
    return published - 1000 * (features + 1) + kClasses * (features + 1);
  };
  EXPECT_EQ(Parameters(*Network::Create(Spec("resnet18", 3), 1)), with_head(11'689'512, 512));
  EXPECT_EQ(Parameters(*Network::Create(Spec("resnet18_gn", 3), 1)), with_head(11'689'512, 512));
  EXPECT_EQ(Parameters(*Network::Create(Spec("resnet50", 3), 1)), with_head(25'557'032, 2048));
  EXPECT_EQ(Parameters(*Network::Create(Spec("densenet121", 3), 1)), with_head(7'978'856, 1024));
  EXPECT_EQ(Parameters(*Network::Create(Spec("mobilenet_v3_small", 3), 1)),
            with_head(2'542'856, 1024));
  EXPECT_EQ(Parameters(*Network::Create(Spec("vgg16", 3), 1)), with_head(138'357'544, 4096));
  EXPECT_EQ(Parameters(*Network::Create(Spec("vgg16_bn", 3), 1)), with_head(138'365'992, 4096));
  // By hand: 3x3 convolutions 1-32-64-128-128 with biases, 2048-128-3 dense.
  EXPECT_EQ(Parameters(*Network::Create(Spec("simple_cnn", 1), 1)),
            320U + 18'496U + 73'856U + 147'584U + 262'272U + 387U);
  // By hand: down 1-16-32-64-128, at the bottom 256, up again with what was seen, 16-3.
  EXPECT_EQ(Parameters(*Network::Create(Unet(), 1)), 2'512U + 13'952U + 55'552U + 221'696U +
                                                         885'760U + 590'336U + 147'712U + 36'992U +
                                                         9'280U + 51U);
}

TEST(Network, StateDictListsAreThePublishedOnes) {
  ASSERT_OK_AND_ASSIGN(const Network resnet, Network::Create(Spec("resnet18", 3), 1));
  const auto& tensors = resnet.layout()->tensors();
  ASSERT_EQ(tensors.size(), 122U);
  EXPECT_EQ(tensors[0], (TensorSpec{"conv1.weight", {64, 3, 7, 7}, TensorRole::kParameter}));
  EXPECT_EQ(tensors[3], (TensorSpec{"bn1.running_mean", {64}, TensorRole::kBuffer}));
  EXPECT_EQ(tensors[5], (TensorSpec{"bn1.num_batches_tracked", {}, TensorRole::kCounter}));
  EXPECT_EQ(tensors[6],
            (TensorSpec{"layer1.0.conv1.weight", {64, 64, 3, 3}, TensorRole::kParameter}));
  EXPECT_EQ(tensors[120], (TensorSpec{"fc.weight", {3, 512}, TensorRole::kParameter}));
  EXPECT_THAT(tensors,
              ::testing::Contains(TensorSpec{
                  "layer2.0.downsample.0.weight", {128, 64, 1, 1}, TensorRole::kParameter}));
  EXPECT_EQ(Network::Create(Spec("vgg16", 3), 1)->layout()->tensors().size(), 32U);
}

TEST(Network, UnetWantsItsOwnClassesAndSides) {
  ModelSpec spec = Unet();
  spec.input_size = 40;
  EXPECT_THAT(Network::Create(spec, 1), StatusIs(kInvalid, HasSubstr("multiple of 16")));
  EXPECT_THAT(Network::Create(Spec("unet"), 1),
              StatusIs(kInvalid, HasSubstr("elsewhere, lung, opacity")));
}

TEST(Network, SeedDecidesTheWeights) {
  const auto values = [](std::uint64_t seed) {
    return Network::Create(Spec("resnet18"), seed)->State().values;
  };
  const auto first = values(1);
  EXPECT_EQ(first, values(1));
  EXPECT_NE(first, values(2));
}

TEST(Network, StateGoesOutAndComesBack) {
  ASSERT_OK_AND_ASSIGN(const Network a, Network::Create(Spec("resnet18"), 1));
  ASSERT_OK_AND_ASSIGN(Network b, Network::Create(Spec("resnet18"), 2));
  ASSERT_THAT(b.Load(a.State()), IsOk());
  EXPECT_EQ(a.State().values, b.State().values);
}

TEST(Network, AnotherNetworksStateIsRefusedByTensorAndChangesNothing) {
  ASSERT_OK_AND_ASSIGN(Network a, Network::Create(Spec("resnet18", 1), 1));
  ASSERT_OK_AND_ASSIGN(const Network b, Network::Create(Spec("resnet18", 3), 1));
  const auto before = a.State().values;
  EXPECT_THAT(a.Load(b.State()), StatusIs(kInvalid, HasSubstr("conv1.weight has shape")));
  EXPECT_EQ(a.State().values, before);
}

TEST(Network, UnknownArchitectureIsNamedWithTheKnown) {
  EXPECT_THAT(Network::Create(Spec("alexnet"), 1),
              StatusIs(kInvalid, AllOf(HasSubstr("'alexnet'"), HasSubstr("resnet18"))));
}

TEST(Network, WithoutCudaTheDeviceIsRefused) {
  if (torch::cuda::is_available()) GTEST_SKIP() << "this machine has a CUDA device";
  ASSERT_OK_AND_ASSIGN(Network network, Network::Create(Spec("simple_cnn"), 1));
  EXPECT_THAT(network.MoveTo("cuda"), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(ResolveDevice("auto"), "cpu");
}

TEST(Network, ConvolutionsLieChannelsLast) {
  ASSERT_OK_AND_ASSIGN(const Network network, Network::Create(Spec("resnet18"), 1));
  for (const torch::Tensor& tensor : network.impl().tensors) {
    if (tensor.dim() == 4) {
      EXPECT_TRUE(tensor.is_contiguous(torch::MemoryFormat::ChannelsLast));
    }
  }
}

class TorchvisionParity : public ::testing::TestWithParam<std::pair<const char*, int>> {};

// The same file in torchvision's own network: names, order, shapes and numbers.
TEST_P(TorchvisionParity, LoadsStrictlyAndComputesTheSame) {
  if (!testing::PythonHas("torchvision")) GTEST_SKIP() << "python3-torchvision is not installed";
  const auto [architecture, channels] = GetParam();
  const testing::TempFolder folder;
  const ModelSpec spec = Spec(architecture, channels);
  ASSERT_OK_AND_ASSIGN(Network network, Network::Create(spec, 7));
  ASSERT_THAT(WriteModel(folder / "model", {spec, {}}, network.State()), IsOk());
  const Batch batch = testing::RandomBatch(spec, 4, 3);
  const torch::NoGradGuard no_grad;
  network.impl().module->eval();
  const torch::Tensor scores =
      network.impl()
          .module
          ->Forward(torch::from_blob(const_cast<float*>(batch.pixels.data()),
                                     {batch.count, batch.channels, batch.height, batch.width})
                        .contiguous(torch::MemoryFormat::ChannelsLast))
          .contiguous();
  const auto write = [&](const char* name, const float* data, std::size_t count) {
    std::ofstream(folder / name, std::ios::binary)
        .write(reinterpret_cast<const char*>(data),
               static_cast<std::streamsize>(count * sizeof(float)));
  };
  write("input", batch.pixels.data(), batch.pixels.size());
  write("output", scores.data_ptr<float>(), static_cast<std::size_t>(scores.numel()));
  EXPECT_TRUE(
      testing::RunPython("client/nn/torchvision_parity.py",
                         fmt::format("{0}/model {0}/input {0}/output", folder.path().string())));
}

INSTANTIATE_TEST_SUITE_P(
    Networks, TorchvisionParity,
    ::testing::Values(std::pair{"simple_cnn", 1}, std::pair{"simple_cnn", 3},
                      std::pair{"resnet18", 1}, std::pair{"resnet18", 3},
                      std::pair{"resnet18_gn", 1}, std::pair{"resnet50", 1},
                      std::pair{"densenet121", 1}, std::pair{"mobilenet_v3_small", 1},
                      std::pair{"resnet50_gn", 1}, std::pair{"vgg16", 1}, std::pair{"vgg16_bn", 3}),
    [](const auto& test) { return fmt::format("{}_{}", test.param.first, test.param.second); });

// torchvision's table of its networks: 1.81 and 4.09 billion multiplications at 224 pixels, 3
// channels, 1000 classes.
TEST(CostOf, CountsAsTorchvisionDoes) {
  const auto giga = [](const std::string& architecture) {
    ModelSpec spec = Spec(architecture, 3);
    spec.input_size = 224;
    Network network = *Network::Create(spec, 1);
    return static_cast<double>(CostOf(network)->flops) / 2e9;
  };
  EXPECT_NEAR(giga("resnet18"), 1.814, 0.005);
  EXPECT_NEAR(giga("resnet50"), 4.089, 0.005);
}

}  // namespace
}  // namespace consilium
