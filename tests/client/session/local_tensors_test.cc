#include "client/session/local_tensors.h"

#include <gmock/gmock.h>

#include "client/nn/network.h"
#include "common/base/file.h"
#include "common/model/local_part.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using ::testing::Contains;
using testing::IsOk;
using testing::kInvalid;
using testing::StatusIs;

class LocalTensorsTest : public ::testing::Test {
 protected:
  // Every value is `value`.
  static Model Filled(float value, const std::vector<std::string>& local) {
    const ModelSpec spec{.architecture = "resnet18",
                         .channels = 1,
                         .input_size = 32,
                         .classes = {"covid", "normal"},
                         .local_tensors = local};
    const Network network = *Network::Create(spec, 1);
    Model model{{spec, {.run = "r1", .round = 4}}, network.State()};
    std::ranges::fill(model.state.values, value);
    return model;
  }
  // The value that the local tensors have, and the one that the others have.
  static std::pair<float, float> ValuesOf(const Model& model) {
    std::pair<float, float> values;
    for (std::size_t t = 0; t < model.state.layout->tensors().size(); ++t) {
      const bool local = model.state.layout->tensors()[t].role == TensorRole::kLocal;
      (local ? values.first : values.second) = model.state.tensor(t)[0];
    }
    return values;
  }
  std::size_t Files() const {
    std::size_t files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder_ / "local")) {
      files += entry.is_regular_file() ? 1 : 0;
    }
    return files;
  }

  testing::TempFolder folder_;
  LocalTensors kept_{folder_.path()};
};

TEST_F(LocalTensorsTest, NormIsEveryNormalisationLayerAndNothingElse) {
  const Model model = Filled(0, {"norm"});
  std::vector<std::string> names;
  for (const TensorSpec& tensor : model.state.layout->tensors()) {
    if (tensor.role == TensorRole::kLocal) names.push_back(tensor.name);
  }
  EXPECT_EQ(names.size(), 20U * 5U);  // layers; weight, bias, mean, variance, counter
  EXPECT_THAT(names, Contains("bn1.running_mean"));
  EXPECT_THAT(names, Contains("layer2.0.downsample.1.weight"));
  EXPECT_THAT(names, ::testing::Not(Contains("conv1.weight")));
}

TEST_F(LocalTensorsTest, OtherNamesAreBeginningsAndMustBeThere) {
  const Model model = Filled(0, {"fc"});
  EXPECT_EQ(LocalPart(model.state).layout->tensors().size(), 2U);
  ModelSpec spec = model.info.spec;
  spec.local_tensors = {"layer"};
  EXPECT_THAT(Network::Create(spec, 1), StatusIs(kInvalid, ::testing::HasSubstr("'layer'")));
}

TEST_F(LocalTensorsTest, WhatWasKeptComesBackIntoTheNextGlobalModel) {
  ASSERT_THAT(kept_.Keep("r1", 1, Filled(7, {"norm"})), IsOk());
  Model global = Filled(1, {"norm"});
  ASSERT_THAT(kept_.PutInto("r1", 2, global), IsOk());
  EXPECT_EQ(ValuesOf(global), std::pair(7.0F, 1.0F));
}

// A round that is trained again begins as it did: with what was kept after the one before it.
TEST_F(LocalTensorsTest, ARoundAgainBeginsWithTheRoundBefore) {
  ASSERT_THAT(kept_.Keep("r1", 1, Filled(7, {"norm"})), IsOk());
  ASSERT_THAT(kept_.Keep("r1", 2, Filled(8, {"norm"})), IsOk());
  Model global = Filled(1, {"norm"});
  ASSERT_THAT(kept_.PutInto("r1", 2, global), IsOk());
  EXPECT_EQ(ValuesOf(global).first, 7);
  ASSERT_THAT(kept_.PutLastInto(global), IsOk());
  EXPECT_EQ(ValuesOf(global).first, 8);
}

TEST_F(LocalTensorsTest, TwoRoundsOfARunAreKept) {
  for (int round = 1; round <= 4; ++round) {
    ASSERT_THAT(kept_.Keep("r1", round, Filled(static_cast<float>(round), {"fc"})), IsOk());
  }
  ASSERT_THAT(kept_.Keep("r2", 1, Filled(9, {"fc"})), IsOk());
  EXPECT_EQ(Files(), 3U);
  Model global = Filled(0, {"fc"});
  ASSERT_THAT(kept_.PutInto("r1", 4, global), IsOk());
  EXPECT_EQ(ValuesOf(global).first, 3);
}

// A hospital that missed rounds, and died after the one that it came back for was trained.
TEST_F(LocalTensorsTest, ARoundAgainAfterMissedOnesBeginsAsItDid) {
  ASSERT_THAT(kept_.Keep("r1", 1, Filled(7, {"norm"})), IsOk());
  ASSERT_THAT(kept_.Keep("r1", 4, Filled(8, {"norm"})), IsOk());
  Model global = Filled(1, {"norm"});
  ASSERT_THAT(kept_.PutInto("r1", 4, global), IsOk());
  EXPECT_EQ(ValuesOf(global).first, 7);
}

TEST_F(LocalTensorsTest, WithoutLocalTensorsNothingIsKeptOrChanged) {
  ASSERT_THAT(kept_.Keep("r1", 1, Filled(7, {})), IsOk());
  EXPECT_FALSE(std::filesystem::exists(folder_ / "local"));
  Model global = Filled(1, {});
  ASSERT_THAT(kept_.PutInto("r1", 2, global), IsOk());
  EXPECT_EQ(ValuesOf(global).second, 1);
}

TEST_F(LocalTensorsTest, FileOfAnotherNetworkIsRefused) {
  ASSERT_THAT(kept_.Keep("r1", 1, Filled(7, {"fc"})), IsOk());
  Model global = Filled(1, {"norm"});
  EXPECT_THAT(kept_.PutInto("r1", 2, global), StatusIs(kInvalid));
}

TEST_F(LocalTensorsTest, RunsNameIsNoPath) {
  ASSERT_THAT(kept_.Keep("../../escape", 1, Filled(7, {"fc"})), IsOk());
  EXPECT_EQ(Files(), 1U);
}

}  // namespace
}  // namespace consilium
