#include "server/aggregate/decode_update.h"

#include <gmock/gmock.h>

#include <cstring>
#include <limits>

#include "server/aggregate/mapped_model.h"
#include "tests/testing/small_model.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::kInvalid;
using testing::StatusIs;

class DecodeUpdateTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(blobs_, BlobStore::Open(folder_.path()));
    auto writer = *blobs_->Create();
    ASSERT_THAT(writer.Append(AsBytes(testing::EncodeFile({.spec = testing::SmallSpec()}, base_))),
                IsOk());
    ASSERT_OK_AND_ASSIGN(base_digest_, std::move(writer).Finish());
  }

  // Of these tensors, as a hospital sends it.
  std::string Encode(const TensorMask& moved, const std::string& base_digest) {
    std::vector<float> none;
    const ModelState sent = PartOf(update_, moved);
    return *EncodeUpdate(
        {.encoding = UpdateEncoding::kInt8, .run = "run-1", .round = 2, .base_digest = base_digest},
        *sent.layout, PartOf(base_, moved).values, sent.values, {.seed = 1}, none);
  }
  StatusOr<AveragedModel> Decode(std::string_view file,
                                 UpdateEncoding wanted = UpdateEncoding::kInt8) {
    return DecodeUpdate(*blobs_, AsBytes(file),
                        {.encoding = wanted,
                         .run = "run-1",
                         .round = 2,
                         .base_digest = base_digest_,
                         .stages = stages_,
                         .rounds = 4});
  }

  testing::TempFolder folder_;
  std::optional<BlobStore> blobs_;
  std::shared_ptr<const Layout> layout_ = testing::SmallLayout();
  ModelState base_ = testing::RandomState(layout_, 1);
  ModelState update_ = testing::RandomState(layout_, 2);
  std::string base_digest_;
  std::vector<Stage> stages_;
  const TensorMask all_ = TensorMask(layout_->tensors().size(), true);
};

TEST_F(DecodeUpdateTest, IsTheModelFileThatTheHospitalEncoded) {
  const std::string file = Encode(all_, base_digest_);
  ASSERT_OK_AND_ASSIGN(const AveragedModel decoded, Decode(file));
  ASSERT_OK_AND_ASSIGN(const MappedModel model, MapModel(*blobs_, decoded.digest));
  EXPECT_EQ(model.file->bytes().size(), decoded.bytes);
  EXPECT_EQ(model.header.info.spec, testing::SmallSpec());
  EXPECT_EQ(model.header.info.provenance,
            (Provenance{.run = "run-1", .round = 2, .parent_digest = base_digest_}));
  const auto wanted = ApplyUpdate(AsBytes(file), *layout_, base_.values);
  ASSERT_THAT(wanted, IsOk());
  EXPECT_TRUE(std::ranges::equal(model.values(), *wanted));
}

TEST_F(DecodeUpdateTest, BringsNoModelsHeader) {
  std::vector<float> none;
  const std::string file = *EncodeUpdate({.encoding = UpdateEncoding::kInt8,
                                          .run = "run-1",
                                          .round = 2,
                                          .base_digest = base_digest_,
                                          .model_header = "anything at all"},
                                         *layout_, base_.values, update_.values, {}, none);
  EXPECT_THAT(Decode(file), StatusIs(kInvalid, HasSubstr("header")));
}

TEST_F(DecodeUpdateTest, FrozenTensorsAreNotInIt) {
  stages_ = {{.tensors = {"conv.weight"}, .frozen = 1}};
  TensorMask moved = all_;
  moved[0] = false;
  ASSERT_OK_AND_ASSIGN(const AveragedModel decoded, Decode(Encode(moved, base_digest_)));
  ASSERT_OK_AND_ASSIGN(const MappedModel model, MapModel(*blobs_, decoded.digest));
  EXPECT_EQ(*model.header.layout, *PartOf(*layout_, moved));
  EXPECT_THAT(Decode(Encode(all_, base_digest_)), StatusIs(kInvalid));
}

TEST_F(DecodeUpdateTest, AnotherEncodingOrBaseIsRefused) {
  EXPECT_THAT(Decode(Encode(all_, base_digest_), UpdateEncoding::kBfloat16),
              StatusIs(kInvalid, HasSubstr("its encoding is int8, the plan's bfloat16")));
  EXPECT_THAT(Decode(Encode(all_, "other")), StatusIs(kInvalid, HasSubstr("other")));
}

TEST_F(DecodeUpdateTest, TensorLongerThanAPieceComesWhole) {
  const auto layout = *Layout::Create({{"w", {700'001}}});
  const ModelState base = testing::RandomState(layout, 3);
  const ModelState update = testing::RandomState(layout, 4);
  auto writer = *blobs_->Create();
  ASSERT_THAT(writer.Append(AsBytes(testing::EncodeFile({.spec = testing::SmallSpec()}, base))),
              IsOk());
  ASSERT_OK_AND_ASSIGN(base_digest_, std::move(writer).Finish());
  for (const auto encoding :
       {UpdateEncoding::kBfloat16, UpdateEncoding::kInt8, UpdateEncoding::kTopK}) {
    std::vector<float> residual;
    ASSERT_OK_AND_ASSIGN(
        const std::string file,
        EncodeUpdate(
            {.encoding = encoding, .run = "run-1", .round = 2, .base_digest = base_digest_},
            *layout, base.values, update.values, {.top_k = 0.001, .seed = 1}, residual));
    ASSERT_OK_AND_ASSIGN(const AveragedModel decoded, Decode(file, encoding));
    ASSERT_OK_AND_ASSIGN(const MappedModel model, MapModel(*blobs_, decoded.digest));
    EXPECT_TRUE(
        std::ranges::equal(model.values(), *ApplyUpdate(AsBytes(file), *layout, base.values)))
        << UpdateEncodingName(encoding);
  }
}

TEST_F(DecodeUpdateTest, NothingIsLeftOfWhatIsRefused) {
  const std::string file = Encode(all_, base_digest_);
  EXPECT_THAT(Decode(file.substr(0, file.size() - 1)), StatusIs(kInvalid));
  std::string infinite = file;  // the first scale
  const float value = std::numeric_limits<float>::infinity();
  const std::size_t data = file.size() - (4 + 36 + 4 * (5 + 1 + 7));
  std::memcpy(infinite.data() + data, &value, sizeof(value));
  EXPECT_THAT(Decode(infinite), StatusIs(kInvalid, HasSubstr("infinite or NaN")));
  EXPECT_EQ(blobs_->List()->size(), 1U);  // the base
  EXPECT_TRUE(blobs_->ListIncoming()->empty());
}

}  // namespace
}  // namespace consilium
