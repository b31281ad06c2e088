#include "common/audit/trail.h"

#include <gmock/gmock.h>

#include <fstream>
#include <thread>

#include "tests/testing/fake_clock.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

constexpr auto kDamaged = absl::StatusCode::kDataLoss;

class AuditTrailTest : public ::testing::Test {
 protected:
  std::unique_ptr<AuditTrail> Open() {
    auto trail = AuditTrail::Open(path_, clock_);
    EXPECT_THAT(trail, IsOk());
    return *std::move(trail);
  }
  // Five entries; the file's text.
  std::string WriteSome() {
    const auto trail = Open();
    for (int i = 1; i <= 5; ++i) {
      clock_.Advance(std::chrono::seconds(1));
      EXPECT_THAT(trail->Append("task", {{"number", i}, {"site", "north"}}), IsOk());
    }
    return *ReadFile(path_);
  }
  void Replace(const std::string& text) { std::ofstream(path_, std::ios::binary) << text; }

  testing::TempFolder folder_;
  testing::FakeClock clock_;
  const std::filesystem::path path_ = folder_ / "audit.jsonl";
};

TEST_F(AuditTrailTest, GivesBackWhatWasAppended) {
  WriteSome();
  std::vector<int> numbers;
  ASSERT_OK_AND_ASSIGN(const TrailHead head,
                       VerifyTrail(path_, [&](const nlohmann::ordered_json& entry) {
                         numbers.push_back(entry["number"]);
                         EXPECT_EQ(entry["event"], "task");
                       }));
  EXPECT_THAT(numbers, ::testing::ElementsAre(1, 2, 3, 4, 5));
  EXPECT_EQ(head.entries, 5U);
  EXPECT_EQ(head, Open()->head());
}

// The format, to the letter: another program reads it by common/README.md alone.
TEST_F(AuditTrailTest, WritesTheFormatThatIsDocumented) {
  ASSERT_THAT(Open()->Append("joined", {{"member", "north"}}), IsOk());
  EXPECT_EQ(
      *ReadFile(path_),
      "{\"seq\":1,\"time\":\"2027-01-15T08:00:00.000Z\",\"event\":\"joined\",\"member\":\"north\","
      "\"previous\":\"0000000000000000000000000000000000000000000000000000000000000000\","
      "\"hash\":\"ad09d5c440d75c25a1b21c4399bb6b92d20c5eb2a783de8712a24bee10b6ca1c\"}\n");
}

TEST_F(AuditTrailTest, EntriesThatBelongTogetherAreChainedAsOthersAre) {
  const auto trail = Open();
  ASSERT_THAT(trail->Append("started"), IsOk());
  ASSERT_THAT(trail->Append({{"task", {{"site", "north"}}}, {"task", {{"site", "south"}}}}),
              IsOk());
  ASSERT_THAT(trail->Append(std::vector<AuditEntry>{}), IsOk());
  ASSERT_OK_AND_ASSIGN(const TrailHead head, VerifyTrail(path_));
  EXPECT_EQ(head.entries, 3U);
  EXPECT_EQ(head, trail->head());
}

TEST_F(AuditTrailTest, GoesOnWhereTheLastProcessWas) {
  WriteSome();
  ASSERT_THAT(Open()->Append("started"), IsOk());
  ASSERT_OK_AND_ASSIGN(const TrailHead head, VerifyTrail(path_));
  EXPECT_EQ(head.entries, 6U);
}

TEST_F(AuditTrailTest, EveryByteThatIsFlippedIsFound) {
  const std::string text = WriteSome();
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (const char flip : {'\x01', '\x20', '\x80'}) {
      std::string harmed = text;
      harmed[i] = static_cast<char>(harmed[i] ^ flip);
      Replace(harmed);
      EXPECT_THAT(VerifyTrail(path_), StatusIs(kDamaged, HasSubstr("audit.jsonl line ")))
          << "byte " << i;
    }
  }
}

TEST_F(AuditTrailTest, NamesTheFirstLineThatWasCutRemovedMovedOrReplaced) {
  const std::string text = WriteSome();
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin) + 1;
    lines.push_back(text.substr(begin, end - begin));
    begin = end;
  }
  Replace(lines[0] + lines[1] + lines[3] + lines[4]);
  EXPECT_THAT(VerifyTrail(path_), StatusIs(kDamaged, HasSubstr("line 3: entry 4 stands here")));
  Replace(lines[0] + lines[2] + lines[1] + lines[3] + lines[4]);
  EXPECT_THAT(VerifyTrail(path_), StatusIs(kDamaged, HasSubstr("line 2: entry 3 stands here")));
  Replace(lines[0] + lines[1] + lines[2] + lines[3]);
  EXPECT_THAT(VerifyTrail(path_),
              StatusIs(kDamaged, HasSubstr("line 5: the trail ends here, and had 5 entries")));
  Replace("");
  EXPECT_THAT(VerifyTrail(path_), StatusIs(kDamaged, HasSubstr("line 1: the trail ends here")));
  Replace(text.substr(0, text.size() - 10));
  EXPECT_THAT(VerifyTrail(path_),
              StatusIs(kDamaged, HasSubstr("line 5: the line is not finished")));
}

// Whoever writes a whole new trail with right hashes still meets the head beside it.
TEST_F(AuditTrailTest, RewrittenTrailDoesNotFitTheHeadBesideIt) {
  WriteSome();
  const std::string head = *ReadFile(path_.string() + ".head");
  std::filesystem::remove(path_);
  clock_.Advance(std::chrono::hours(1));
  WriteSome();
  ASSERT_THAT(VerifyTrail(path_), IsOk());
  std::ofstream(path_.string() + ".head") << head;
  EXPECT_THAT(VerifyTrail(path_), StatusIs(kDamaged, HasSubstr("line 5: the entry was replaced")));
  std::filesystem::remove(path_.string() + ".head");
  EXPECT_FALSE(VerifyTrail(path_).ok());
}

TEST_F(AuditTrailTest, UnfinishedLineOfACrashIsRemovedAndAChangedOneIsNotAddedTo) {
  const std::string text = WriteSome();
  Replace(text + "{\"seq\":6,\"ti");
  ASSERT_THAT(Open()->Append("started"), IsOk());
  EXPECT_THAT(VerifyTrail(path_), IsOk());
  std::string harmed = *ReadFile(path_);
  harmed[harmed.size() - 100] ^= 1;
  Replace(harmed);
  EXPECT_THAT(AuditTrail::Open(path_, clock_),
              StatusIs(kDamaged, HasSubstr("its last entry was changed")));
  EXPECT_EQ(*ReadFile(path_), harmed);
}

TEST_F(AuditTrailTest, ThreadsAndProcessesTakeTurns) {
  // Two openings stand for two processes: each has its own descriptors and its own idea of the end.
  const auto first = Open();
  const auto second = Open();
  std::vector<std::thread> threads;
  for (AuditTrail* trail : {first.get(), second.get(), first.get()}) {
    threads.emplace_back([trail] {
      for (int i = 0; i < 20; ++i) EXPECT_THAT(trail->Append("task"), IsOk());
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_OK_AND_ASSIGN(const TrailHead head, VerifyTrail(path_));
  EXPECT_EQ(head.entries, 60U);
}

TEST_F(AuditTrailTest, TextThatIsNotUtf8IsKeptReadable) {
  ASSERT_THAT(Open()->Append("refused", {{"reason", std::string("\xff\"\n\0x", 5)}}), IsOk());
  EXPECT_THAT(VerifyTrail(path_), IsOk());
}

TEST_F(AuditTrailTest, CopyIsWholeOrNotWritten) {
  WriteSome();
  ASSERT_OK_AND_ASSIGN(auto lines, ReadTrailLines(path_, 0, 1 << 20));
  ASSERT_EQ(lines.size(), 5U);
  ASSERT_OK_AND_ASSIGN(const TrailHead head, WriteTrailCopy(folder_ / "copy", lines));
  EXPECT_EQ(*VerifyTrail(folder_ / "copy"), head);
  std::swap(lines[1], lines[2]);
  EXPECT_THAT(WriteTrailCopy(folder_ / "other", lines), StatusIs(kDamaged, HasSubstr("line 2")));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "other"));
}

TEST_F(AuditTrailTest, LinesAreReadInPieces) {
  WriteSome();
  EXPECT_EQ(ReadTrailLines(path_, 0, 1)->size(), 1U);
  EXPECT_EQ(ReadTrailLines(path_, 3, 1 << 20)->size(), 2U);
  EXPECT_EQ(ReadTrailLines(path_, 5, 1 << 20)->size(), 0U);
}

}  // namespace
}  // namespace consilium
