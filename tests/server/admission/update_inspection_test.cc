// An update that is looked at as it comes: whatever its pieces, it is found to be what it is as a
// whole.

#include "server/admission/update_inspection.h"

#include <gmock/gmock.h>

#include <cstring>
#include <limits>

#include "common/base/random.h"
#include "server/admission/admission.h"
#include "tests/testing/small_model.h"
#include "tests/testing/status_matchers.h"

namespace consilium {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::kInvalid;
using testing::StatusIs;

class UpdateInspectionTest : public ::testing::Test {
 protected:
  static constexpr UpdateEncoding kEncodings[] = {UpdateEncoding::kFloat32,
                                                  UpdateEncoding::kBfloat16, UpdateEncoding::kInt8,
                                                  UpdateEncoding::kTopK};

  ExpectedUpdate Expected() const {
    return {.run = "run-1",
            .round = 2,
            .base_digest = kBase,
            .stages = stages_,
            .rounds = 4,
            .encoding = encoding_};
  }
  // An update of these tensors of the base's layout, as a hospital sends it.
  std::string Encode(const TensorMask& sent) {
    const ModelState update = PartOf(update_, sent);
    if (encoding_ == UpdateEncoding::kFloat32) {
      return testing::EncodeFile(
          {.spec = testing::SmallSpec(),
           .provenance = {.run = "run-1", .round = 2, .parent_digest = kBase}},
          update);
    }
    std::vector<float> residual;
    head_.encoding = encoding_;
    return *EncodeUpdate(head_, *update.layout, PartOf(base_, sent).values, update.values,
                         {.top_k = 0.01, .seed = 3}, residual);
  }
  std::string Encode() { return Encode(TensorMask(layout_->tensors().size(), true)); }

  // In pieces of at most so many bytes.
  StatusOr<double> Inspect(std::string_view file, std::size_t most) {
    const std::string base = testing::EncodeFile({.spec = testing::SmallSpec()}, base_);
    CSL_ASSIGN_OR_RETURN(auto inspection,
                         UpdateInspection::Begin(AsBytes(base), nullptr, Expected(), file.size()));
    Random random(most);
    while (!file.empty()) {
      // At an address of its own, so that no byte beyond it is read.
      const std::string piece(file.substr(0, 1 + random.Below(std::min(most, file.size()))));
      inspection.Append(AsBytes(piece));
      file.remove_prefix(piece.size());
    }
    return inspection.Finish();
  }

  const std::string kBase = std::string(64, 'b');
  std::shared_ptr<const Layout> layout_ = *Layout::Create({{"a", {9000}},
                                                           {"a0", {0}},
                                                           {"b", {5}, TensorRole::kBuffer},
                                                           {"c", {1}, TensorRole::kCounter},
                                                           {"d", {12'345}},
                                                           {"e", {3}}});
  ModelState base_ = testing::RandomState(layout_, 1);
  ModelState update_ = testing::RandomState(layout_, 2);
  std::vector<Stage> stages_;
  UpdateEncoding encoding_ = UpdateEncoding::kFloat32;
  EncodedUpdateHead head_{.run = "run-1", .round = 2, .base_digest = kBase};
};

TEST_F(UpdateInspectionTest, NormIsTheSameWhateverThePieces) {
  for (const UpdateEncoding encoding : kEncodings) {
    encoding_ = encoding;
    const std::string file = Encode();
    const std::string base = testing::EncodeFile({.spec = testing::SmallSpec()}, base_);
    ASSERT_OK_AND_ASSIGN(const double whole,
                         CheckUpdate(AsBytes(file), AsBytes(base), Expected(), 0));
    const auto values = encoding_ == UpdateEncoding::kFloat32
                            ? update_.values
                            : *ApplyUpdate(AsBytes(file), *layout_, base_.values);
    EXPECT_EQ(whole, NormOfChange(*layout_, base_.values, values));
    for (const std::size_t most : {1, 3, 100, 5000, 100'000}) {
      EXPECT_EQ(*Inspect(file, most), whole) << UpdateEncodingName(encoding_) << most;
    }
  }
}

TEST_F(UpdateInspectionTest, WhatEndsTooEarlyOrTooLateIsRefused) {
  for (const UpdateEncoding encoding : kEncodings) {
    encoding_ = encoding;
    const std::string file = Encode();
    for (const std::size_t most : {7, 100'000}) {
      EXPECT_THAT(Inspect("", most), StatusIs(kInvalid));
      EXPECT_THAT(Inspect(file.substr(0, 5), most), StatusIs(kInvalid));
      EXPECT_THAT(Inspect(file.substr(0, 40), most), StatusIs(kInvalid));
      EXPECT_THAT(Inspect(file.substr(0, file.size() - 1), most), StatusIs(kInvalid));
      EXPECT_THAT(Inspect(file + "x", most), StatusIs(kInvalid));
      EXPECT_THAT(Inspect(file, most), IsOk());
    }
  }
}

TEST_F(UpdateInspectionTest, FrozenTensorsAreNotInIt) {
  stages_ = {{.tensors = {"d"}, .frozen = 1}};
  TensorMask sent(layout_->tensors().size(), true);
  sent[4] = false;
  for (const UpdateEncoding encoding : kEncodings) {
    encoding_ = encoding;
    EXPECT_THAT(Inspect(Encode(sent), 1000), IsOk());
    EXPECT_THAT(Inspect(Encode(), 1000), StatusIs(kInvalid));
  }
}

TEST_F(UpdateInspectionTest, ValuesThatAreNotFiniteAreRefused) {
  update_.values[9002] = std::numeric_limits<float>::quiet_NaN();  // of the buffer
  EXPECT_THAT(Inspect(Encode(), 1000), StatusIs(kInvalid, HasSubstr("infinite or NaN")));
  // A change that is finite, of a base where it leads beyond what is.
  update_.values[9002] = 0;
  for (const UpdateEncoding encoding :
       {UpdateEncoding::kBfloat16, UpdateEncoding::kInt8, UpdateEncoding::kTopK}) {
    encoding_ = encoding;
    base_.values[0] = 0;
    update_.values[0] = 3e38F;
    const std::string file = Encode();
    base_.values[0] = 3e38F;
    EXPECT_THAT(Inspect(file, 1000), StatusIs(kInvalid, HasSubstr("infinite or NaN")))
        << UpdateEncodingName(encoding);
  }
}

TEST_F(UpdateInspectionTest, OtherEncodingRoundOrModelIsRefused) {
  encoding_ = UpdateEncoding::kInt8;
  const std::string file = Encode();
  encoding_ = UpdateEncoding::kBfloat16;
  EXPECT_THAT(Inspect(file, 1000),
              StatusIs(kInvalid, HasSubstr("its encoding is int8, the plan's bfloat16")));
  encoding_ = UpdateEncoding::kFloat32;
  EXPECT_THAT(Inspect(file, 1000), StatusIs(kInvalid));
  encoding_ = UpdateEncoding::kInt8;
  head_.round = 3;
  EXPECT_THAT(Inspect(Encode(), 1000), StatusIs(kInvalid, HasSubstr("round 3")));
  head_ = {.run = "run-1", .round = 2, .base_digest = "other"};
  EXPECT_THAT(Inspect(Encode(), 1000), StatusIs(kInvalid, HasSubstr("other")));
  head_ = {.run = "run-1", .round = 2, .base_digest = kBase, .model_header = "anything at all"};
  EXPECT_THAT(Inspect(Encode(), 1000), StatusIs(kInvalid, HasSubstr("header")));
}

TEST_F(UpdateInspectionTest, HeaderThatSaysItIsLongIsNotKept) {
  std::string file(8, '\0');
  const std::uint64_t length = std::uint64_t{3} << 20;
  std::memcpy(file.data(), &length, sizeof(length));
  file += std::string(length, ' ');
  EXPECT_THAT(Inspect(file, 1000), StatusIs(kInvalid, HasSubstr("header has 3145736 bytes")));
  encoding_ = UpdateEncoding::kInt8;
  const std::string encoded = "CSLUPD1\n" + file.substr(0, 4) + file.substr(8);
  EXPECT_THAT(Inspect(encoded, 1000), StatusIs(kInvalid, HasSubstr("header has")));
}

}  // namespace
}  // namespace consilium
