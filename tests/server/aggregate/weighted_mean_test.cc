#include "server/aggregate/weighted_mean.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>

#include "common/base/file.h"
#include "server/aggregate/round_average.h"
#include "tests/testing/small_model.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using testing::IsOk;

// The slow oracle: one element at a time, straight from the equation.
float Oracle(const std::vector<ModelState>& models, const std::vector<double>& weights,
             std::size_t i) {
  double sum = 0;
  double total = 0;
  for (std::size_t k = 0; k < models.size(); ++k) {
    sum += weights[k] * static_cast<double>(models[k].values[i]);
    total += weights[k];
  }
  return static_cast<float>(sum / total);
}

class WeightedMeanTest : public ::testing::Test {
 protected:
  // A parameter larger than several blocks, and every other role.
  std::shared_ptr<const Layout> layout_ = *Layout::Create({{"w", {20'011}, TensorRole::kParameter},
                                                           {"mean", {5'003}, TensorRole::kBuffer},
                                                           {"n", {}, TensorRole::kCounter},
                                                           {"own", {101}, TensorRole::kLocal}});
  ModelState base_ = testing::RandomState(layout_, 99);
  std::vector<ModelState> models_ = {testing::RandomState(layout_, 1),
                                     testing::RandomState(layout_, 2),
                                     testing::RandomState(layout_, 3)};
  std::vector<double> weights_ = {335, 658, 30};

  std::vector<WeightedUpdate> Updates() const {
    std::vector<WeightedUpdate> updates;
    for (std::size_t k = 0; k < models_.size(); ++k) {
      updates.push_back({models_[k].values, weights_[k]});
    }
    return updates;
  }
};

TEST_F(WeightedMeanTest, EqualsTheEquationToTheLastBit) {
  std::vector<float> out(layout_->size());
  WeightedMean(*layout_, base_.values, Updates(), 0, out);
  for (std::size_t i = 0; i < layout_->offset(2); ++i) {
    ASSERT_EQ(out[i], Oracle(models_, weights_, i)) << i;
  }
}

// What an update changes in the parameters is stretched; nothing else is.
TEST_F(WeightedMeanTest, StretchedChangesCountForMoreWhereverTheRangeBegins) {
  const std::vector<double> stretches = {0.5, 1, 3};
  std::vector<WeightedUpdate> updates = Updates();
  for (std::size_t k = 0; k < updates.size(); ++k) updates[k].terms.stretch = stretches[k];
  std::vector<float> plain(layout_->size());
  WeightedMean(*layout_, base_.values, Updates(), 0, plain);
  for (const std::size_t begin : {std::size_t{0}, std::size_t{4'999}}) {
    std::vector<float> out(layout_->size() - begin);
    WeightedMean(*layout_, base_.values, updates, begin, out);
    for (std::size_t i = begin; i < layout_->size(); ++i) {
      if (i >= layout_->offset(1)) {
        ASSERT_EQ(out[i - begin], plain[i]) << i;
        continue;
      }
      double sum = 0;
      double total = 0;
      for (std::size_t k = 0; k < updates.size(); ++k) {
        const double x = base_.values[i];
        sum += weights_[k] * (x + stretches[k] * (models_[k].values[i] - x));
        total += weights_[k];
      }
      ASSERT_EQ(out[i - begin], static_cast<float>(sum / total)) << i;
    }
  }
}

// What is frozen is in no update, wherever the range begins.
TEST_F(WeightedMeanTest, TensorsThatNoUpdateHasStay) {
  TensorMask frozen(layout_->tensors().size(), false);
  frozen[0] = true;
  frozen[2] = true;
  std::vector<ModelState> parts;
  for (const ModelState& model : models_) parts.push_back(PartOf(model, Inverse(frozen)));
  std::vector<WeightedUpdate> updates = Updates();
  for (std::size_t k = 0; k < updates.size(); ++k) updates[k].values = parts[k].values;
  const std::vector<std::size_t> places = PlacesWithout(*layout_, frozen);
  std::vector<float> whole(layout_->size());
  WeightedMean(*layout_, base_.values, Updates(), 0, whole);
  for (std::size_t begin = 0; begin < layout_->size(); begin += 1009) {
    std::vector<float> out(std::min<std::size_t>(1009, layout_->size() - begin));
    WeightedMean(*layout_, base_.values, updates, begin, out, places);
    for (std::size_t i = 0; i < out.size(); ++i) {
      const std::size_t at = begin + i;
      std::size_t t = layout_->tensors().size() - 1;
      while (layout_->offset(t) > at) --t;
      ASSERT_EQ(out[i], frozen[t] ? base_.values[at] : whole[at]) << at;
    }
  }
}

TEST_F(WeightedMeanTest, CountersTakeTheLargestAndLocalTensorsStay) {
  std::vector<float> out(layout_->size());
  WeightedMean(*layout_, base_.values, Updates(), 0, out);
  const std::size_t counter = layout_->offset(2);
  EXPECT_EQ(out[counter], std::max({models_[0].values[counter], models_[1].values[counter],
                                    models_[2].values[counter]}));
  for (std::size_t i = layout_->offset(3); i < layout_->size(); ++i) {
    EXPECT_EQ(out[i], base_.values[i]);
  }
}

TEST_F(WeightedMeanTest, AnyPartitionGivesTheSameBits) {
  std::vector<float> whole(layout_->size());
  WeightedMean(*layout_, base_.values, Updates(), 0, whole);
  for (const std::size_t step : {1'000U, 4'096U, 7'777U}) {
    std::vector<float> parts(layout_->size());
    for (std::size_t begin = 0; begin < parts.size(); begin += step) {
      WeightedMean(*layout_, base_.values, Updates(), begin,
                   std::span(parts).subspan(begin, std::min(step, parts.size() - begin)));
    }
    EXPECT_EQ(parts, whole) << step;
  }
}

TEST_F(WeightedMeanTest, OfIdenticalModelsIsThatModel) {
  models_ = {models_[0], models_[0], models_[0]};
  std::vector<float> out(layout_->size());
  WeightedMean(*layout_, base_.values, Updates(), 0, out);
  EXPECT_TRUE(std::equal(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(layout_->offset(2)),
                         models_[0].values.begin()));
}

TEST_F(WeightedMeanTest, RoundAverageWritesThePlainMeanAsABlob) {
  const testing::TempFolder folder;
  ASSERT_OK_AND_ASSIGN(const BlobStore blobs, BlobStore::Open(folder.path()));
  const auto put = [&](const ModelState& state) {
    auto writer = *blobs.Create();
    const std::string bytes = testing::EncodeFile({.spec = testing::SmallSpec()}, state);
    EXPECT_THAT(writer.Append(AsBytes(bytes)), IsOk());
    return *std::move(writer).Finish();
  };
  const std::string base = put(base_);
  std::vector<Contribution> contributions;
  for (std::size_t k = 0; k < models_.size(); ++k) {
    contributions.push_back({put(models_[k]), {weights_[k]}});
  }
  ASSERT_OK_AND_ASSIGN(const AveragedModel averaged,
                       AverageRound(blobs, {"run-1", 4, base}, contributions));
  ASSERT_OK_AND_ASSIGN(const auto file, blobs.Map(averaged.digest));
  EXPECT_EQ(file->bytes().size(), averaged.bytes);
  ASSERT_OK_AND_ASSIGN(const ModelHeader header, ParseModelHeader(file->bytes()));
  EXPECT_EQ(header.info.provenance, (Provenance{"run-1", 4, 3, base}));
  std::vector<float> want(layout_->size());
  WeightedMean(*layout_, base_.values, Updates(), 0, want);
  EXPECT_TRUE(std::ranges::equal(ModelValues(header, file->bytes()), want));
  // Once more: the same bits, so the same digest.
  EXPECT_EQ(AverageRound(blobs, {"run-1", 4, base}, contributions)->digest, averaged.digest);
}

// The median of two is their mean; only that they count alike makes it a median.
TEST_F(WeightedMeanTest, WithATrimAllCountAlike) {
  std::vector<WeightedUpdate> updates = Updates();
  updates.resize(2);
  std::vector<float> median(layout_->size());
  WeightedMean(*layout_, base_.values, updates, 0, median, {}, 0);
  for (std::size_t i = 0; i < layout_->offset(2); ++i) {
    ASSERT_EQ(median[i], Oracle({models_[0], models_[1]}, {1, 1}, i)) << i;
  }
}

// A tree of regions: each one's mean counts with the sum of its weights.
std::vector<float> MeanOfTree(const Layout& layout, const ModelState& base,
                              const std::vector<std::vector<WeightedUpdate>>& regions) {
  std::vector<std::vector<float>> means;
  std::vector<WeightedUpdate> updates;
  for (const auto& region : regions) {
    WeightedMean(layout, base.values, region, 0, means.emplace_back(layout.size()));
  }
  for (std::size_t k = 0; k < regions.size(); ++k) {
    double weight = 0;
    for (const WeightedUpdate& update : regions[k]) weight += update.terms.weight;
    updates.push_back({means[k], {weight}});
  }
  std::vector<float> out(layout.size());
  WeightedMean(layout, base.values, updates, 0, out);
  return out;
}

TEST_F(WeightedMeanTest, MeanOfRegionsMeansIsTheMeanOfAllWhereArithmeticIsExact) {
  std::vector<WeightedUpdate> all;
  std::vector<ModelState> models;
  for (std::uint64_t k = 0; k < 4; ++k) models.push_back(testing::RandomState(layout_, k));
  for (ModelState& model : models) {
    for (float& value : model.values) value = std::round(value * 1024) / 1024;
  }
  const std::vector<double> weights = {48, 16, 32, 32};  // 64 in each region
  for (std::size_t k = 0; k < 4; ++k) all.push_back({models[k].values, {weights[k]}});
  std::vector<float> flat(layout_->size());
  WeightedMean(*layout_, base_.values, all, 0, flat);
  EXPECT_EQ(MeanOfTree(*layout_, base_, {{all[0], all[1]}, {all[2], all[3]}}), flat);
}

// Each region's mean is within half a unit in the last place of its own, and so is theirs.
TEST_F(WeightedMeanTest, MeanOfRegionsMeansIsWithinItsRoundingOfTheMeanOfAll) {
  const auto updates = Updates();
  std::vector<float> flat(layout_->size());
  WeightedMean(*layout_, base_.values, updates, 0, flat);
  const auto tree = MeanOfTree(*layout_, base_, {{updates[0], updates[1]}, {updates[2]}});
  bool differs = false;
  for (std::size_t i = 0; i < layout_->offset(2); ++i) {
    float largest = std::abs(flat[i]);
    for (const WeightedUpdate& update : updates) {
      largest = std::max(largest, std::abs(update.values[i]));
    }
    const float unit = std::nextafter(largest, INFINITY) - largest;
    ASSERT_NEAR(tree[i], flat[i], 1.5F * unit) << i;
    differs = differs || tree[i] != flat[i];
  }
  EXPECT_TRUE(differs);  // or this would say nothing
}

// Whole numbers, whose sums are exact: each update counts once, however many go by at a time.
TEST(WeightedMean, CountsEachOfManyUpdatesOnce) {
  constexpr std::size_t kElements = 8192 + 37;  // more than a block, and a rest
  const auto layout = *Layout::Create({{"w", {kElements}, TensorRole::kParameter}});
  const std::vector<float> base(kElements, 2);
  for (std::size_t updates = 1; updates <= 25; ++updates) {
    for (const std::size_t stretched : {std::size_t{0}, std::size_t{1}, std::size_t{4}}) {
      std::vector<std::vector<float>> values(updates, std::vector<float>(kElements));
      std::vector<WeightedUpdate> weighted;
      double total = 0;
      for (std::size_t u = 0; u < updates; ++u) {
        for (std::size_t i = 0; i < kElements; ++i) {
          values[u][i] = static_cast<float>((u * 7 + i) % 64);
        }
        // Each fourth, or each, changes twice as much.
        const double stretch = stretched > 0 && u % stretched == 0 ? 2 : 1;
        weighted.push_back({values[u], {.weight = static_cast<double>(u + 1), .stretch = stretch}});
        total += static_cast<double>(u + 1);
      }
      std::vector<float> out(kElements);
      WeightedMean(*layout, base, weighted, 0, out);
      for (std::size_t i = 0; i < kElements; ++i) {
        double sum = 0;
        for (const WeightedUpdate& update : weighted) {
          const auto& [weight, stretch, reach] = update.terms;
          sum += weight * (base[i] + stretch * (update.values[i] - base[i]));
        }
        ASSERT_EQ(out[i], static_cast<float>(sum / total)) << updates << " updates, element " << i;
      }
    }
  }
}

TEST_F(WeightedMeanTest, RegionsUpdateLacksWhatIsFrozen) {
  const testing::TempFolder folder;
  ASSERT_OK_AND_ASSIGN(const BlobStore blobs, BlobStore::Open(folder.path()));
  const auto put = [&](const ModelState& state) {
    auto writer = *blobs.Create();
    EXPECT_THAT(writer.Append(AsBytes(testing::EncodeFile({.spec = testing::SmallSpec()}, state))),
                IsOk());
    return *std::move(writer).Finish();
  };
  const TensorMask frozen = {false, true, false, false};
  const std::string base = put(base_);
  const std::string update = put(PartOf(models_[0], Inverse(frozen)));
  ASSERT_OK_AND_ASSIGN(
      const AveragedModel averaged,
      AverageRound(
          blobs,
          {.run = "run-1", .round = 4, .base_digest = base, .frozen = frozen, .as_update = true},
          {{update, {7}}}));
  ASSERT_OK_AND_ASSIGN(const auto file, blobs.Map(averaged.digest));
  EXPECT_EQ(averaged.bytes, file->bytes().size());
  ASSERT_OK_AND_ASSIGN(const Model model, DecodeModel(file->bytes()));
  ASSERT_EQ(model.state.layout->tensors().size(), 3U);
  EXPECT_EQ(model.state.layout->tensors()[1].name, "n");
  EXPECT_TRUE(std::ranges::equal(std::span(model.state.values).first(layout_->offset(1)),
                                 std::span(models_[0].values).first(layout_->offset(1))));
}

TEST_F(WeightedMeanTest, DamagedBlobIsAnError) {
  const testing::TempFolder folder;
  ASSERT_OK_AND_ASSIGN(const BlobStore blobs, BlobStore::Open(folder.path()));
  EXPECT_THAT(AverageRound(blobs, {"run-1", 1, std::string(64, 'a')}, {}),
              testing::StatusIs(absl::StatusCode::kNotFound));
  auto writer = *blobs.Create();
  std::string bytes = testing::EncodeFile({.spec = testing::SmallSpec()}, base_);
  ASSERT_THAT(writer.Append(AsBytes(bytes)), IsOk());
  const std::string digest = *std::move(writer).Finish();
  bytes.back() ^= 1;
  ASSERT_THAT(WriteFileAtomically(folder / ("blobs/" + digest), bytes), IsOk());
  // To a process that starts now: the one that has just hashed it does not look again.
  ASSERT_OK_AND_ASSIGN(const BlobStore reopened, BlobStore::Open(folder.path()));
  EXPECT_THAT(AverageRound(reopened, {"run-1", 1, digest}, {{digest, {1}}}),
              testing::StatusIs(absl::StatusCode::kDataLoss));
}

}  // namespace
}  // namespace consilium
