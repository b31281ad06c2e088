#include "client/data/corrections.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "common/base/file.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::IsOk;
using ::testing::SizeIs;
using testing::StatusIs;

class CorrectionBookTest : public ::testing::Test {
 protected:
  StatusOr<Correction> Note(const std::string& label, const std::string& reader, int at = 1000) {
    return book_.Note(
        {.label = label, .reader = reader, .model_digest = "m", .predicted = "normal"},
        "\x89PNG picture", FromUnixMillis(at));
  }

  testing::TempFolder folder_;
  const CorrectionBook book_{folder_.path()};
};

TEST_F(CorrectionBookTest, IsPendingUntilSomebodyDecides) {
  EXPECT_THAT(*book_.List(), IsEmpty());
  ASSERT_OK_AND_ASSIGN(const Correction noted, Note("covid", "Dr. Jung"));
  EXPECT_EQ(noted.state, CorrectionState::kPending);
  EXPECT_EQ(noted.picture.extension(), ".png");
  EXPECT_EQ(*ReadFile(noted.picture), "\x89PNG picture");
  struct stat status {};
  ASSERT_EQ(::stat(noted.picture.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);  // a patient's picture
  EXPECT_THAT(AcceptedExamples(*book_.List()), IsEmpty());

  ASSERT_THAT(book_.Decide(noted.id, CorrectionState::kAccepted, "Dr. Alt", FromUnixMillis(2000)),
              IsOk());
  ASSERT_OK_AND_ASSIGN(const auto list, book_.List());
  ASSERT_THAT(list, SizeIs(1));
  EXPECT_EQ(list[0].by, "Dr. Alt");
  EXPECT_EQ(list[0].reader, "Dr. Jung");
  EXPECT_EQ(ToUnixMillis(list[0].decided), 2000);
  const Manifest examples = AcceptedExamples(list);
  ASSERT_THAT(examples, SizeIs(1));
  EXPECT_EQ(examples[0].label, "covid");
  EXPECT_EQ(examples[0].split, Split::kTrain);
  ASSERT_THAT(book_.Decide(noted.id, CorrectionState::kRejected, "Dr. Alt", FromUnixMillis(3000)),
              IsOk());
  EXPECT_THAT(AcceptedExamples(*book_.List()), IsEmpty());
}

TEST_F(CorrectionBookTest, TheSameIsNotedOnceAndOthersInTheirOrder) {
  const std::string id = Note("covid", "a")->id;
  EXPECT_EQ(Note("covid", "a", 5000)->made, FromUnixMillis(1000));
  EXPECT_NE(Note("covid", "b", 900)->id, id);
  EXPECT_NE(Note("normal", "a", 1100)->id, id);
  ASSERT_OK_AND_ASSIGN(const auto list, book_.List());
  ASSERT_THAT(list, SizeIs(3));
  EXPECT_EQ(list[0].reader, "b");
  EXPECT_EQ(list[2].label, "normal");
}

TEST_F(CorrectionBookTest, WantsANameAndAKnownId) {
  EXPECT_THAT(Note("covid", ""), StatusIs(testing::kInvalid, HasSubstr("name")));
  EXPECT_THAT(Note("covid", std::string(101, 'x')), StatusIs(testing::kInvalid));
  EXPECT_THAT(Note("covid", "\xff\xfe"), StatusIs(testing::kInvalid));
  for (const std::string id : {"0123456789abcdef", "../secret", ""}) {
    EXPECT_THAT(book_.Decide(id, CorrectionState::kAccepted, "a", {}),
                StatusIs(absl::StatusCode::kNotFound));
  }
}

TEST_F(CorrectionBookTest, DamagedEntryIsNoAcceptance) {
  const std::string id = Note("covid", "a")->id;
  ASSERT_THAT(WriteFileAtomically(folder_ / ("corrections/" + id + ".json"), "{\"state\": 1}"),
              IsOk());
  EXPECT_THAT(book_.List(), StatusIs(absl::StatusCode::kDataLoss, HasSubstr(id)));
}

}  // namespace
}  // namespace consilium
