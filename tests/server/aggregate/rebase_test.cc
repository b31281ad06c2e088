#include "server/aggregate/rebase.h"

#include <gmock/gmock.h>

#include "server/aggregate/mapped_model.h"
#include "tests/testing/small_model.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using testing::IsOk;

class RebaseTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_OK_AND_ASSIGN(blobs_, BlobStore::Open(folder_.path())); }

  static std::string Encode(const ModelState& state) {
    return testing::EncodeFile({.spec = testing::SmallSpec()}, state);
  }
  std::string PutFile(std::string_view bytes) {
    auto writer = *blobs_->Create();
    EXPECT_THAT(writer.Append(AsBytes(bytes)), IsOk());
    return *std::move(writer).Finish();
  }
  std::string Put(const ModelState& state) { return PutFile(Encode(state)); }
  std::shared_ptr<const MappedFile> Map(const std::string& digest) { return *blobs_->Map(digest); }

  testing::TempFolder folder_;
  std::optional<BlobStore> blobs_;
  std::shared_ptr<const Layout> layout_ = testing::SmallLayout();
  ModelState update_ = testing::RandomState(layout_, 1);
  ModelState old_base_ = testing::RandomState(layout_, 2);
  ModelState new_base_ = testing::RandomState(layout_, 3);
};

TEST_F(RebaseTest, MovesParametersAndLeavesTheRest) {
  const std::string new_base = Put(new_base_);
  const Provenance provenance{.run = "run-1", .round = 5, .parent_digest = new_base};
  ASSERT_OK_AND_ASSIGN(const AveragedModel rebased,
                       Rebase(*blobs_, Map(Put(update_)), Put(old_base_), new_base, provenance));
  ASSERT_OK_AND_ASSIGN(const MappedModel model, MapModel(*blobs_, rebased.digest));
  EXPECT_EQ(model.file->bytes().size(), rebased.bytes);
  EXPECT_EQ(model.header.info.provenance, provenance);
  for (std::size_t i = 0; i < layout_->size(); ++i) {
    const double moved =
        static_cast<double>(update_.values[i]) +
        (static_cast<double>(new_base_.values[i]) - static_cast<double>(old_base_.values[i]));
    const bool parameter = i < layout_->offset(1);
    EXPECT_EQ(model.values()[i], parameter ? static_cast<float>(moved) : update_.values[i]) << i;
  }
}

TEST_F(RebaseTest, SiteThatChangedNothingGivesTheNewBase) {
  ASSERT_OK_AND_ASSIGN(const AveragedModel rebased,
                       Rebase(*blobs_, Map(Put(old_base_)), Put(old_base_), Put(new_base_), {}));
  ASSERT_OK_AND_ASSIGN(const MappedModel model, MapModel(*blobs_, rebased.digest));
  for (std::size_t i = 0; i < layout_->offset(1); ++i) {
    EXPECT_EQ(model.values()[i], new_base_.values[i]);
  }
}

TEST_F(RebaseTest, EncodedUpdateIsMovedAsWhatItStandsFor) {
  std::vector<float> none;
  const std::string file = *EncodeUpdate({.encoding = UpdateEncoding::kInt8}, *layout_,
                                         old_base_.values, update_.values, {.seed = 1}, none);
  ModelState decoded(layout_);
  decoded.values = *ApplyUpdate(AsBytes(file), *layout_, old_base_.values);
  const std::string old_base = Put(old_base_);
  const std::string new_base = Put(new_base_);
  ASSERT_OK_AND_ASSIGN(const AveragedModel rebased,
                       Rebase(*blobs_, Map(PutFile(file)), old_base, new_base, {}));
  ASSERT_OK_AND_ASSIGN(const AveragedModel wanted,
                       Rebase(*blobs_, Map(Put(decoded)), old_base, new_base, {}));
  EXPECT_EQ(rebased.digest, wanted.digest);
}

TEST_F(RebaseTest, OtherLayoutIsRefused) {
  const auto other = *Layout::Create({{"w", {3}}});
  EXPECT_THAT(Rebase(*blobs_, Map(Put(update_)), Put(ModelState(other)), Put(new_base_), {}),
              testing::StatusIs(testing::kInvalid));
}

}  // namespace
}  // namespace consilium
