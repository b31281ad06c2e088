#include "server/store/blob_store.h"

#include <gmock/gmock.h>

#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using testing::IsOk;
using testing::StatusIs;

const std::string kText = "the bytes of a blob";
const std::string kDigest = Sha256Of(kText);

class BlobStoreTest : public ::testing::Test {
 protected:
  testing::TempFolder folder_;
  BlobStore blobs_ = *BlobStore::Open(folder_.path());
};

TEST_F(BlobStoreTest, UploadGoesOnWhereItBrokeOff) {
  {
    ASSERT_OK_AND_ASSIGN(BlobUpload upload, blobs_.Continue(kDigest, "a"));
    ASSERT_THAT(upload.Append(AsBytes(kText.substr(0, 5))), IsOk());
  }
  EXPECT_FALSE(blobs_.Has(kDigest));
  EXPECT_EQ(blobs_.HeldOf(kDigest, "a").bytes, 5U);
  EXPECT_EQ(blobs_.HeldOf(kDigest, "b").bytes, 0U);
  ASSERT_OK_AND_ASSIGN(BlobUpload upload, blobs_.Continue(kDigest, "a"));
  EXPECT_EQ(upload.size(), 5U);
  ASSERT_THAT(upload.Append(AsBytes(kText.substr(5))), IsOk());
  ASSERT_THAT(std::move(upload).Finish(), IsOk());
  EXPECT_TRUE(blobs_.HeldOf(kDigest, "a").whole);
  EXPECT_FALSE(blobs_.Has(kDigest));  // until somebody keeps it
  for (const Durability durability : {Durability::kCached, Durability::kSynced}) {
    EXPECT_THAT(blobs_.Keep(kDigest, "b", durability), StatusIs(absl::StatusCode::kNotFound));
  }
  ASSERT_THAT(blobs_.Keep(kDigest, "a", Durability::kCached), IsOk());
  EXPECT_TRUE(blobs_.Has(kDigest));
  EXPECT_THAT(*blobs_.ListIncoming(), ::testing::IsEmpty());
  EXPECT_THAT(blobs_.Keep(kDigest, "a", Durability::kSynced), IsOk());  // again, and better
  ASSERT_OK_AND_ASSIGN(const auto file, blobs_.Map(kDigest));
  EXPECT_EQ(Sha256Of(file->bytes()), kDigest);
}

TEST_F(BlobStoreTest, WrongBytesAreDropped) {
  ASSERT_OK_AND_ASSIGN(BlobUpload upload, blobs_.Continue(kDigest, "a"));
  ASSERT_THAT(upload.Append(AsBytes("something else")), IsOk());
  EXPECT_THAT(std::move(upload).Finish(), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_FALSE(blobs_.Has(kDigest));
  EXPECT_EQ(blobs_.HeldOf(kDigest, "a").bytes, 0U);
}

TEST_F(BlobStoreTest, SoundIsWhatIsThereAndHasItsDigest) {
  EXPECT_FALSE(*blobs_.IsSound(kDigest, "a"));
  ASSERT_OK_AND_ASSIGN(BlobUpload upload, blobs_.Continue(kDigest, "a"));
  ASSERT_THAT(upload.Append(AsBytes(kText)), IsOk());
  ASSERT_THAT(std::move(upload).Finish(), IsOk());
  EXPECT_TRUE(*blobs_.IsSound(kDigest, "a"));
  EXPECT_FALSE(*blobs_.IsSound(kDigest, "b"));
  EXPECT_FALSE(*blobs_.IsSound(kDigest));
  ASSERT_THAT(blobs_.Keep(kDigest, "a", Durability::kCached), IsOk());
  EXPECT_TRUE(*blobs_.IsSound(kDigest));
  // To this process, which has just hashed it, it stays so; another one looks.
  EXPECT_TRUE(*BlobStore::Open(folder_.path())->IsSound(kDigest));
  ASSERT_THAT(WriteFileAtomically(folder_ / ("blobs/" + kDigest), "something else"), IsOk());
  EXPECT_TRUE(*blobs_.IsSound(kDigest));
  EXPECT_FALSE(*BlobStore::Open(folder_.path())->IsSound(kDigest));
  EXPECT_THAT(blobs_.IsSound("../x"), StatusIs(testing::kInvalid));
}

TEST_F(BlobStoreTest, WriterNamesTheBlobByItsBytes) {
  ASSERT_OK_AND_ASSIGN(BlobStore::Writer writer, blobs_.Create());
  ASSERT_THAT(writer.Append(AsBytes(kText)), IsOk());
  ASSERT_OK_AND_ASSIGN(const std::string digest, std::move(writer).Finish());
  EXPECT_EQ(digest, kDigest);
  blobs_.Remove(digest);
  EXPECT_FALSE(blobs_.Has(digest));
  blobs_.Remove(digest);  // again: nothing to do
}

TEST_F(BlobStoreTest, ListsWhatIsThereAndWhoseItIs) {
  ASSERT_OK_AND_ASSIGN(BlobUpload part, blobs_.Continue(kDigest, "run-1.r1.a.train"));
  ASSERT_THAT(part.Append(AsBytes("x")), IsOk());
  ASSERT_OK_AND_ASSIGN(BlobUpload whole, blobs_.Continue(kDigest, "admin-b"));
  ASSERT_THAT(whole.Append(AsBytes(kText)), IsOk());
  ASSERT_THAT(std::move(whole).Finish(), IsOk());
  ASSERT_OK_AND_ASSIGN(BlobStore::Writer writer, blobs_.Create());
  std::vector<std::string> owners;
  ASSERT_OK_AND_ASSIGN(const auto incoming, blobs_.ListIncoming());
  for (const BlobStore::Entry& entry : incoming) owners.push_back(entry.owner);
  EXPECT_THAT(owners, ::testing::UnorderedElementsAre("run-1.r1.a.train", "admin-b", ""));
  blobs_.Drop(kDigest, "run-1.r1.a.train");
  blobs_.Drop(kDigest, "admin-b");
  EXPECT_THAT(*blobs_.ListIncoming(), ::testing::SizeIs(1));
  EXPECT_THAT(blobs_.MapUpload(kDigest, "admin-b"), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(BlobStoreTest, OnlyDigestsAreNames) {
  EXPECT_THAT(blobs_.Map("../../etc/passwd"), StatusIs(testing::kInvalid));
  EXPECT_THAT(blobs_.Continue("../x", "a"), StatusIs(testing::kInvalid));
  EXPECT_FALSE(blobs_.Has(".."));
  EXPECT_THAT(blobs_.Map(kDigest), StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace consilium
