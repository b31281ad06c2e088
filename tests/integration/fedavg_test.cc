// Averaging and training together: a federation's round is the step that the pooled data would
// take.

#include <gmock/gmock.h>

#include <cmath>
#include <fstream>

#include "client/nn/network.h"
#include "client/train/trainer.h"
#include "common/base/file.h"
#include "server/aggregate/round_average.h"
#include "server/aggregate/weighted_mean.h"
#include "tests/testing/fixed_batches.h"
#include "tests/testing/python.h"
#include "tests/testing/small_model.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using testing::FixedBatches;
using testing::IsOk;

// One step of plain gradient descent.
constexpr int kSites = 3;
const TrainOptions kOneStep{.steps = 1, .learning_rate = 0.1, .momentum = 0, .weight_decay = 0};

std::vector<float> StepFrom(const ModelState& start, const Batch& batch) {
  Network network = *Network::Create(testing::SmallSpec(), 0);
  EXPECT_THAT(network.Load(start), IsOk());
  FixedBatches source({batch});
  EXPECT_THAT(Train(network, source, kOneStep, {}), IsOk());
  return network.State().values;
}

TEST(FedAvg, OneLocalStepOnEqualDataIsTheCentralStep) {
  const ModelSpec spec = testing::SmallSpec();
  const Network network = *Network::Create(spec, 3);
  const ModelState start = network.State();
  Batch pooled{.channels = 1, .height = spec.input_size, .width = spec.input_size};
  std::vector<std::vector<float>> updates;
  for (int site = 0; site < kSites; ++site) {
    const Batch batch = testing::RandomBatch(spec, 8, static_cast<std::uint64_t>(site));
    updates.push_back(StepFrom(start, batch));
    pooled.count += batch.count;
    pooled.pixels.insert(pooled.pixels.end(), batch.pixels.begin(), batch.pixels.end());
    pooled.labels.insert(pooled.labels.end(), batch.labels.begin(), batch.labels.end());
  }
  std::vector<WeightedUpdate> weighted;
  for (const auto& values : updates) weighted.push_back({values, {8}});
  std::vector<float> averaged(start.values.size());
  WeightedMean(*network.layout(), start.values, weighted, 0, averaged);

  const std::vector<float> central = StepFrom(start, pooled);
  double moved = 0;
  for (std::size_t i = 0; i < central.size(); ++i) {
    ASSERT_NEAR(averaged[i], central[i], 1e-6) << i;
    moved = std::max(moved, std::abs(static_cast<double>(central[i] - start.values[i])));
  }
  EXPECT_GT(moved, 1e-3);  // it was a step, not a standstill
}

// Blobs of a round whose sites have n = 335, 658 and 30 examples.
class RoundOnDisk : public ::testing::Test {
 protected:
  std::string Put(const std::string& name, std::uint64_t seed) {
    const std::string bytes = testing::EncodeFile(
        {.spec = testing::SmallSpec()}, testing::RandomState(testing::SmallLayout(), seed));
    EXPECT_THAT(WriteFileAtomically(folder_ / name, bytes), IsOk());
    auto writer = *blobs_.Create();
    EXPECT_THAT(writer.Append(AsBytes(bytes)), IsOk());
    return *std::move(writer).Finish();
  }
  testing::TempFolder folder_;
  BlobStore blobs_ = *BlobStore::Open(folder_.path());
};

TEST_F(RoundOnDisk, EqualsTheWeightedMeanThatPythonComputesToTheLastBit) {
  if (!testing::PythonHas("numpy")) GTEST_SKIP() << "python3-numpy is not installed";
  const std::string base = Put("base", 9);
  const std::vector<Contribution> contributions = {
      {Put("a", 1), {335}}, {Put("b", 2), {658}}, {Put("c", 3), {30}}};
  ASSERT_OK_AND_ASSIGN(const auto averaged, AverageRound(blobs_, {"r", 1, base}, contributions));
  const auto file = *blobs_.Map(averaged.digest);
  std::ofstream(folder_ / "averaged", std::ios::binary)
      .write(reinterpret_cast<const char*>(file->bytes().data()),
             static_cast<std::streamsize>(file->bytes().size()));
  EXPECT_TRUE(testing::RunPython(
      "integration/weighted_mean.py",
      fmt::format("{0}/averaged {0}/base {0}/a 335 {0}/b 658 {0}/c 30", folder_.path().string())));
}

}  // namespace
}  // namespace consilium
