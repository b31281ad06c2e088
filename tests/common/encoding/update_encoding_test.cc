#include "common/encoding/update_encoding.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "common/base/file.h"
#include "common/base/random.h"
#include "common/model/model_state.h"
#include "tests/testing/small_model.h"
#include "tests/testing/status_matchers.h"

namespace consilium {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::kInvalid;
using testing::StatusIs;

// A tensor of several blocks and a rest, and others between it and a small one.
std::shared_ptr<const Layout> TheLayout() {
  return *Layout::Create({{"conv.weight", {10, 100}, TensorRole::kParameter},
                          {"bn.running_var", {5}, TensorRole::kBuffer},
                          {"bn.num_batches_tracked", {}, TensorRole::kCounter},
                          {"fc.bias", {3}, TensorRole::kParameter}});
}
constexpr std::size_t kParameters = 1003;

class UpdateEncodingTest : public ::testing::TestWithParam<UpdateEncoding> {
 protected:
  UpdateEncodingTest() {
    Random random(3);
    for (float& value : update_.values) value += static_cast<float>(0.01 * random.Normal());
  }

  EncodedUpdateHead Head() const {
    return {.encoding = GetParam(), .run = "run-1", .round = 4, .base_digest = "abc"};
  }
  StatusOr<std::string> Encode(std::uint64_t seed = 1) {
    return EncodeUpdate(Head(), *layout_, base_.values, update_.values,
                        {.top_k = kShare, .seed = seed}, residual_);
  }
  StatusOr<std::vector<float>> Apply(std::string_view file) const {
    return ApplyUpdate(AsBytes(file), *layout_, base_.values);
  }
  bool IsParameter(std::size_t i) const {
    return i < layout_->offset(1) || i >= layout_->offset(3);
  }
  // What the file gets wrong, of each parameter.
  std::vector<double> Errors(const std::vector<float>& values) const {
    std::vector<double> errors;
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (IsParameter(i)) errors.push_back(double{values[i]} - double{update_.values[i]});
    }
    return errors;
  }

  static constexpr double kShare = 0.1;
  std::shared_ptr<const Layout> layout_ = TheLayout();
  ModelState base_ = testing::RandomState(layout_, 1);
  ModelState update_ = base_;
  std::vector<float> residual_;
};

TEST_P(UpdateEncodingTest, WhatIsNoParameterComesAsItIs) {
  update_.values[layout_->offset(1)] = 7.125F;
  update_.values[layout_->offset(2)] = 1234567;
  ASSERT_OK_AND_ASSIGN(const std::string file, Encode());
  ASSERT_OK_AND_ASSIGN(const auto values, Apply(file));
  ASSERT_EQ(values.size(), layout_->size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (IsParameter(i)) continue;
    EXPECT_EQ(values[i], update_.values[i]) << i;
  }
}

TEST_P(UpdateEncodingTest, HeadSaysWhereItComesFrom) {
  ASSERT_OK_AND_ASSIGN(const std::string file, Encode());
  ASSERT_OK_AND_ASSIGN(const UpdateDecoder decoder, UpdateDecoder::Create(AsBytes(file)));
  EXPECT_EQ(decoder.head().encoding, GetParam());
  EXPECT_EQ(decoder.head().run, "run-1");
  EXPECT_EQ(decoder.head().round, 4);
  EXPECT_EQ(decoder.head().base_digest, "abc");
}

TEST_P(UpdateEncodingTest, NothingChangedIsTheBase) {
  update_ = base_;
  ASSERT_OK_AND_ASSIGN(const std::string file, Encode());
  EXPECT_EQ(*Apply(file), base_.values);
}

TEST_P(UpdateEncodingTest, CutAnywhereOrWithMoreBehindIsAnError) {
  ASSERT_OK_AND_ASSIGN(const std::string file, Encode());
  for (std::size_t size = 0; size < file.size(); ++size) {
    ASSERT_THAT(Apply(std::string_view(file).substr(0, size)), StatusIs(kInvalid)) << size;
  }
  EXPECT_THAT(Apply(file + "x"), StatusIs(kInvalid));
}

TEST_P(UpdateEncodingTest, WhatIsNotFiniteIsAnError) {
  update_.values[500] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(Encode(), StatusIs(kInvalid, HasSubstr("NaN")));
}

INSTANTIATE_TEST_SUITE_P(Encodings, UpdateEncodingTest,
                         ::testing::Values(UpdateEncoding::kBfloat16, UpdateEncoding::kInt8,
                                           UpdateEncoding::kTopK),
                         [](const auto& encoding) {
                           return std::string(UpdateEncodingName(encoding.param));
                         });

class Bfloat16Test : public UpdateEncodingTest {};
TEST_P(Bfloat16Test, ChangesAreRoundedToEightBits) {
  ASSERT_OK_AND_ASSIGN(const std::string file, Encode());
  EXPECT_LT(file.size(), 2 * kParameters + 150);
  ASSERT_OK_AND_ASSIGN(const auto values, Apply(file));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double change = std::abs(double{update_.values[i]} - double{base_.values[i]});
    EXPECT_NEAR(values[i], update_.values[i], change / 256 + 1e-6) << i;
  }
}
INSTANTIATE_TEST_SUITE_P(Bfloat16, Bfloat16Test, ::testing::Values(UpdateEncoding::kBfloat16));

class Int8Test : public UpdateEncodingTest {};
TEST_P(Int8Test, ErrorIsBelowAStepAndNoneInTheMean) {
  ASSERT_OK_AND_ASSIGN(const std::string file, Encode());
  EXPECT_LT(file.size(), kParameters + 4 * 5 + 150);
  std::vector<double> sums(kParameters);
  double greatest = 0;
  constexpr int kTries = 400;
  for (int seed = 0; seed < kTries; ++seed) {
    ASSERT_OK_AND_ASSIGN(const auto values, Apply(*Encode(static_cast<std::uint64_t>(seed))));
    const std::vector<double> errors = Errors(values);
    for (std::size_t i = 0; i < errors.size(); ++i) {
      sums[i] += errors[i];
      greatest = std::max(greatest, std::abs(errors[i]));
    }
  }
  constexpr double kStep = 0.01 * 5 / 127;  // of a block whose largest change is 5 deviations
  EXPECT_LT(greatest, kStep);
  EXPECT_GT(greatest, kStep / 5);
  for (const double sum : sums) EXPECT_NEAR(sum / kTries, 0, 5 * kStep / std::sqrt(kTries));
}
TEST_P(Int8Test, AnotherSeedRoundsOtherwise) { EXPECT_NE(*Encode(1), *Encode(2)); }
INSTANTIATE_TEST_SUITE_P(Int8, Int8Test, ::testing::Values(UpdateEncoding::kInt8));

class TopKTest : public UpdateEncodingTest {};
TEST_P(TopKTest, LargestChangesComeAndTheRestStays) {
  ASSERT_OK_AND_ASSIGN(const std::string file, Encode());
  EXPECT_LT(file.size(), 5 * kParameters / 10 + 150);
  ASSERT_OK_AND_ASSIGN(const auto values, Apply(file));
  std::size_t sent = 0;
  double least_sent = 1;
  double largest_left = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!IsParameter(i)) continue;
    const float change = update_.values[i] - base_.values[i];
    if (values[i] != base_.values[i]) {
      ++sent;
      EXPECT_EQ(values[i], base_.values[i] + change);
      EXPECT_EQ(residual_[i], 0);
      least_sent = std::min(least_sent, double{std::abs(change)});
    } else {
      EXPECT_EQ(residual_[i], change);
      largest_left = std::max(largest_left, double{std::abs(change)});
    }
  }
  EXPECT_EQ(sent, std::lround(kShare * kParameters));
  EXPECT_GE(least_sent, largest_left);
}
TEST_P(TopKTest, EqualChangesAreCountedOut) {
  for (std::size_t i = 0; i < layout_->size(); ++i) update_.values[i] = base_.values[i] = 0;
  for (std::size_t i = 0; i < 300; ++i) update_.values[i] = 1;
  ASSERT_OK_AND_ASSIGN(const auto values, Apply(*Encode()));
  EXPECT_EQ(std::ranges::count(values, 1.0F), std::lround(kShare * kParameters));
}
// Nothing is lost: what all rounds together have sent, and what is left, is all that changed.
TEST_P(TopKTest, WhatIsLeftComesInLaterRounds) {
  std::vector<double> sent(layout_->size());
  for (int round = 0; round < 30; ++round) {
    ASSERT_OK_AND_ASSIGN(const auto values, Apply(*Encode()));
    for (std::size_t i = 0; i < sent.size(); ++i) sent[i] += values[i] - base_.values[i];
  }
  for (std::size_t i = 0; i < sent.size(); ++i) {
    if (!IsParameter(i)) continue;
    const double changed = 30 * (double{update_.values[i]} - double{base_.values[i]});
    EXPECT_NEAR(sent[i] + residual_[i], changed, 1e-4) << i;
    EXPECT_LT(std::abs(residual_[i]), 0.2) << i;
  }
}
INSTANTIATE_TEST_SUITE_P(TopK, TopKTest, ::testing::Values(UpdateEncoding::kTopK));

TEST(UpdateEncoding, DataThatRepeatThemselvesAreCompressed) {
  const auto layout = *Layout::Create({{"w", {1 << 16}}});
  const ModelState base(layout);
  std::vector<float> none;
  const auto file = EncodeUpdate({.encoding = UpdateEncoding::kInt8}, *layout, base.values,
                                 base.values, {.seed = 1}, none);
  ASSERT_THAT(file, IsOk());
  EXPECT_LT(file->size(), 2000U);
  EXPECT_EQ(*ApplyUpdate(AsBytes(*file), *layout, base.values), base.values);
}

TEST(UpdateEncoding, NamesAreReadAndWritten) {
  for (const char* name : {"float32", "bfloat16", "int8", "top_k"}) {
    EXPECT_EQ(UpdateEncodingName(*ParseUpdateEncoding(name)), name);
  }
  EXPECT_EQ(*ParseUpdateEncoding(""), UpdateEncoding::kFloat32);
  EXPECT_THAT(ParseUpdateEncoding("int4"), StatusIs(kInvalid, HasSubstr("int4")));
}

TEST(UpdateEncoding, ModelFileIsNone) {
  const std::string file = testing::EncodeFile({testing::SmallSpec(), {}},
                                               testing::RandomState(testing::SmallLayout(), 1));
  EXPECT_THAT(UpdateDecoder::Create(AsBytes(file)).status(),
              StatusIs(kInvalid, HasSubstr("not an encoded update")));
}

}  // namespace
}  // namespace consilium
