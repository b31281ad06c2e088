#include "server/aggregate/soundness.h"

#include <gmock/gmock.h>

#include "common/base/file.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using ::testing::IsEmpty;
using testing::IsOk;

TEST(UnsoundBlobs, AreThoseThatAreGoneOrDamaged) {
  const testing::TempFolder folder;
  const BlobStore blobs = *BlobStore::Open(folder.path());
  std::vector<std::string> digests;
  for (int i = 0; i < 20; ++i) {
    auto writer = *blobs.Create();
    ASSERT_THAT(writer.Append(AsBytes(std::to_string(i))), IsOk());
    digests.push_back(*std::move(writer).Finish());
  }
  EXPECT_THAT(*UnsoundBlobs(blobs, digests), IsEmpty());
  blobs.Remove(digests[3]);
  ASSERT_THAT(WriteFileAtomically(folder / ("blobs/" + digests[7]), "8"), IsOk());
  std::vector<std::string> unsound = {digests[3], digests[7]};
  std::ranges::sort(unsound);
  digests.push_back(digests[3]);                               // two sites may send the same
  const BlobStore reopened = *BlobStore::Open(folder.path());  // nothing is hashed lately
  EXPECT_EQ(*UnsoundBlobs(reopened, digests), unsound);
  EXPECT_THAT(*UnsoundBlobs(reopened, {}), IsEmpty());
  // What cannot be opened is not lost: here a link to itself.
  const auto looped = folder / ("blobs/" + digests[5]);
  std::filesystem::remove(looped);
  std::filesystem::create_symlink(looped, looped);
  EXPECT_FALSE(UnsoundBlobs(reopened, digests).ok());
}

}  // namespace
}  // namespace consilium
