#include "common/base/file.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

int ModeOf(const std::filesystem::path& path) {
  struct stat info {};
  EXPECT_EQ(::stat(path.c_str(), &info), 0);
  return static_cast<int>(info.st_mode & 0777);
}

TEST(File, WritesWholeWithTheModeAskedFor) {
  const testing::TempFolder folder;
  ASSERT_THAT(WriteFileAtomically(folder / "key", "secret", kPrivateMode), IsOk());
  EXPECT_EQ(ModeOf(folder / "key"), 0600);
  ASSERT_OK_AND_ASSIGN(const std::string text, ReadFile(folder / "key"));
  EXPECT_EQ(text, "secret");
}

TEST(File, ReplacesAndLeavesNothingBeside) {
  const testing::TempFolder folder;
  ASSERT_THAT(WriteFileAtomically(folder / "f", "old"), IsOk());
  ASSERT_THAT(WriteFileAtomically(folder / "f", "new"), IsOk());
  EXPECT_EQ(*ReadFile(folder / "f"), "new");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST(File, FailedWriteLeavesTheOldFile) {
  const testing::TempFolder folder;
  // A folder in the way: the rename at the end fails.
  ASSERT_THAT(MakeFolders(folder / "f/sub"), IsOk());
  EXPECT_THAT(WriteFileAtomically(folder / "f", "new"), StatusIs(absl::StatusCode::kInternal));
  EXPECT_TRUE(std::filesystem::is_directory(folder / "f/sub"));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST(File, AbsentFileIsNotFoundWithItsName) {
  EXPECT_THAT(ReadFile("/nowhere/at/all"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/nowhere/at/all")));
  EXPECT_THAT(MappedFile::Open("/nowhere/at/all"), StatusIs(absl::StatusCode::kNotFound));
}

TEST(File, ReadStopsAtTheLimit) {
  const testing::TempFolder folder;
  ASSERT_THAT(WriteFileAtomically(folder / "f", std::string(1000, 'x')), IsOk());
  EXPECT_THAT(ReadFile(folder / "f", 999), StatusIs(testing::kInvalid, HasSubstr("larger")));
  EXPECT_THAT(ReadFile(folder / "f", 1000), IsOk());
}

TEST(MappedFile, ShowsTheBytesAndSurvivesAMove) {
  const testing::TempFolder folder;
  ASSERT_THAT(WriteFileAtomically(folder / "f", "bytes"), IsOk());
  ASSERT_OK_AND_ASSIGN(MappedFile file, MappedFile::Open(folder / "f"));
  const MappedFile moved = std::move(file);
  ASSERT_EQ(moved.bytes().size(), 5U);
  EXPECT_EQ(static_cast<char>(moved.bytes()[0]), 'b');
}

TEST(MappedFile, EmptyFileHasNoBytesAndAFolderIsNoFile) {
  const testing::TempFolder folder;
  ASSERT_THAT(WriteFileAtomically(folder / "f", ""), IsOk());
  ASSERT_OK_AND_ASSIGN(const MappedFile file, MappedFile::Open(folder / "f"));
  EXPECT_TRUE(file.bytes().empty());
  EXPECT_THAT(MappedFile::Open(folder.path()), StatusIs(testing::kInvalid));
}

}  // namespace
}  // namespace consilium
