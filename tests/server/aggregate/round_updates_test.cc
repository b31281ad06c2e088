#include "server/aggregate/round_updates.h"

#include <gmock/gmock.h>

#include "server/aggregate/round_average.h"
#include "tests/testing/small_model.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using testing::IsOk;
using testing::kInvalid;
using testing::StatusIs;

class RoundUpdatesTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_OK_AND_ASSIGN(blobs_, BlobStore::Open(folder_.path())); }

  // A base with these tensors, of which all or those that are not frozen are in an update.
  void Begin(std::vector<TensorSpec> tensors, const TensorMask& frozen = {}) {
    base_state_.emplace(testing::RandomState(*Layout::Create(std::move(tensors)), 1));
    base_digest_ = Put(testing::EncodeFile({.spec = testing::SmallSpec()}, *base_state_));
    ASSERT_OK_AND_ASSIGN(base_, MapModel(*blobs_, base_digest_));
    frozen_ = frozen;
    frozen_.resize(base_state_->layout->tensors().size());
  }
  std::string Put(std::string_view bytes) {
    auto writer = *blobs_->Create();
    EXPECT_THAT(writer.Append(AsBytes(bytes)), IsOk());
    return *std::move(writer).Finish();
  }
  // An update's digest, encoded or not, and the values that it has.
  std::string Add(UpdateEncoding encoding, std::uint64_t seed) {
    const ModelState whole = testing::RandomState(base_state_->layout, seed);
    ModelState update = PartOf(whole, Inverse(frozen_));
    std::string file;
    if (encoding == UpdateEncoding::kFloat32) {
      file = testing::EncodeFile({.spec = testing::SmallSpec()}, update);
    } else {
      const ModelState base = PartOf(*base_state_, Inverse(frozen_));
      std::vector<float> residual;
      file = *EncodeUpdate({.encoding = encoding, .run = "run-1", .round = 2}, *update.layout,
                           base.values, update.values, {.top_k = 0.001, .seed = seed}, residual);
      update.values = *ApplyUpdate(AsBytes(file), *update.layout, base.values);
    }
    values_.push_back(update.values);
    contributions_.push_back({Put(file), {static_cast<double>(seed)}});
    return contributions_.back().digest;
  }
  // What all of them are, read part by part.
  std::vector<std::vector<float>> Read() {
    std::vector<std::vector<float>> read(contributions_.size());
    auto updates = RoundUpdates::Open(*blobs_, contributions_, base_, frozen_);
    EXPECT_THAT(updates, IsOk());
    const std::size_t size = base_state_->layout->size();
    for (std::size_t begin = 0; begin < size;) {
      const std::size_t end = updates->EndOfPart(begin);
      EXPECT_GT(end, begin);
      ++parts_;
      const auto parts = updates->Next(end);
      EXPECT_THAT(parts, IsOk());
      if (!parts.ok()) break;
      for (std::size_t i = 0; i < read.size(); ++i) {
        const WeightedUpdate& part = (*parts)[i];
        EXPECT_EQ(part.first, read[i].size());
        EXPECT_EQ(part.terms.weight, contributions_[i].terms.weight);
        read[i].insert(read[i].end(), part.values.begin(), part.values.end());
      }
      begin = end;
    }
    return read;
  }

  testing::TempFolder folder_;
  std::optional<BlobStore> blobs_;
  std::optional<ModelState> base_state_;
  std::string base_digest_;
  MappedModel base_;
  TensorMask frozen_;
  std::vector<Contribution> contributions_;
  std::vector<std::vector<float>> values_;
  int parts_ = 0;
};

// Longer than a part, of a length that no block divides; and between others.
std::vector<TensorSpec> LongTensors() {
  return {{"a", {300}},
          {"b", {2'100'001}},
          {"b0", {0}},
          {"c", {7}, TensorRole::kBuffer},
          {"d", {1}, TensorRole::kCounter},
          {"e", {70'000}}};
}

TEST_F(RoundUpdatesTest, AreWhatWasEncodedWhateverTheEncoding) {
  Begin(LongTensors());
  for (const auto encoding : {UpdateEncoding::kFloat32, UpdateEncoding::kBfloat16,
                              UpdateEncoding::kInt8, UpdateEncoding::kTopK}) {
    Add(encoding, 10 + static_cast<std::uint64_t>(encoding));
  }
  EXPECT_TRUE(Read() == values_);
  EXPECT_GT(parts_, 2);
}

TEST_F(RoundUpdatesTest, MoreOfThemAreReadInSmallerParts) {
  Begin({{"a", {300}}, {"b", {40'001}}});
  for (std::uint64_t seed = 2; seed < 402; ++seed) Add(UpdateEncoding::kInt8, seed);
  EXPECT_TRUE(Read() == values_);
  EXPECT_GT(parts_, 3);
}

TEST_F(RoundUpdatesTest, FrozenTensorsAreNotInThem) {
  for (const std::size_t frozen : {0, 1, 3, 5}) {
    contributions_.clear();
    values_.clear();
    TensorMask mask(LongTensors().size());
    mask[frozen] = true;
    Begin(LongTensors(), mask);
    Add(UpdateEncoding::kFloat32, 5);
    Add(UpdateEncoding::kBfloat16, 6);
    Add(UpdateEncoding::kTopK, 7);
    EXPECT_TRUE(Read() == values_) << frozen;
  }
}

TEST_F(RoundUpdatesTest, OtherTensorsThanTheBasesAreRefused) {
  Begin({{"a", {300}}, {"b", {40}}});
  Add(UpdateEncoding::kFloat32, 5);
  Begin({{"a", {300}}, {"b", {41}}});
  EXPECT_THAT(RoundUpdates::Open(*blobs_, contributions_, base_, frozen_), StatusIs(kInvalid));
  contributions_ = {{Put("neither a model nor a change of one"), {1}}};
  EXPECT_THAT(RoundUpdates::Open(*blobs_, contributions_, base_, frozen_), StatusIs(kInvalid));
  contributions_ = {{std::string(64, 'a'), {1}}};
  EXPECT_THAT(RoundUpdates::Open(*blobs_, contributions_, base_, frozen_),
              StatusIs(absl::StatusCode::kNotFound));
}

// The same model, bit for bit, as of the files that they stand for.
TEST_F(RoundUpdatesTest, RoundOfEncodedUpdatesIsTheRoundOfWhatTheyDecodeTo) {
  Begin(LongTensors());
  std::vector<Contribution> decoded;
  for (std::uint64_t seed = 2; seed < 7; ++seed) {
    Add(seed % 2 == 0 ? UpdateEncoding::kInt8 : UpdateEncoding::kTopK, seed);
    ModelState state(base_state_->layout);
    state.values = values_.back();
    decoded.push_back({Put(testing::EncodeFile({.spec = testing::SmallSpec()}, state)),
                       contributions_.back().terms});
  }
  for (const auto combination : {Combination::kMean, Combination::kMedian, Combination::kKrum}) {
    const RoundToAverage round{
        .run = "run-1", .round = 2, .base_digest = base_digest_, .combination = combination};
    ASSERT_OK_AND_ASSIGN(const AveragedModel encoded, AverageRound(*blobs_, round, contributions_));
    ASSERT_OK_AND_ASSIGN(const AveragedModel plain, AverageRound(*blobs_, round, decoded));
    EXPECT_EQ(encoded.digest, plain.digest);
    EXPECT_EQ(encoded.chosen, plain.chosen);
  }
}

}  // namespace
}  // namespace consilium
