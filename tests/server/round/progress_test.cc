#include "server/round/progress.h"

#include <gmock/gmock.h>

#include <limits>

namespace consilium {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Optional;

class ProgressTest : public ::testing::Test {
 protected:
  ProgressTest() {
    run_.id = "run";
    run_.config.round_deadline = seconds(1000);  // a report every 4.2 s, patience of 100 s
  }

  // The site's word after so many seconds.
  void Say(int after, TaskStage stage, std::uint64_t done, std::uint64_t total,
           const std::string& task = "t", TaskKind kind = TaskKind::kTrain) {
    board_.Note(run_, {.id = task, .site = "a", .kind = kind}, {stage, done, total}, At(after));
  }
  // The same again and again, as a site says it that stands still.
  void Repeat(int from, int to, TaskStage stage, std::uint64_t done, std::uint64_t total) {
    for (int after = from; after <= to; after += 4) Say(after, stage, done, total);
  }
  static TimePoint At(int after) { return FromUnixMillis(1'000'000) + seconds(after); }
  std::string WhyStuck() const { return board_.WhyStuck("t"); }

  RunState run_;
  ProgressBoard board_;
};

TEST(ProgressInterval, IsAShareOfTheDeadlineWithinBounds) {
  EXPECT_EQ(ProgressInterval(seconds(10)), milliseconds(500));
  EXPECT_EQ(ProgressInterval(seconds(1200)), seconds(5));
  EXPECT_EQ(ProgressInterval(seconds(86400)), seconds(15));
}

TEST_F(ProgressTest, SlowSiteThatAdvancesIsNotStuck) {
  for (int step = 0; step < 20; ++step) {
    Repeat(step * 92, step * 92 + 88, TaskStage::kTraining, static_cast<std::uint64_t>(step), 20);
    EXPECT_THAT(WhyStuck(), IsEmpty()) << step;
  }
}

TEST_F(ProgressTest, SiteThatSpeaksAndStandsStillIsStuck) {
  Repeat(0, 100, TaskStage::kTraining, 12, 40);
  EXPECT_THAT(WhyStuck(), IsEmpty());
  Say(104, TaskStage::kTraining, 12, 40);
  EXPECT_THAT(WhyStuck(), HasSubstr("stopped advancing: training, 12 of 40 for 104 s"));
}

TEST_F(ProgressTest, SilenceIsNotStandingStill) {
  Repeat(0, 40, TaskStage::kTraining, 12, 40);
  // The network was away; the site says the same once more before it has done another step.
  Repeat(5000, 5040, TaskStage::kTraining, 12, 40);
  EXPECT_THAT(WhyStuck(), IsEmpty());
  Repeat(5044, 5064, TaskStage::kTraining, 12, 40);
  EXPECT_THAT(WhyStuck(), HasSubstr("for 104 s"));
}

TEST_F(ProgressTest, TransfersAndLookingForImagesAreNotStuck) {
  for (const TaskStage stage : {TaskStage::kUnknown, TaskStage::kFetchingModel,
                                TaskStage::kSendingUpdate, TaskStage::kLoadingImages}) {
    Repeat(0, 400, stage, 0, 40);
    EXPECT_THAT(WhyStuck(), IsEmpty()) << TaskStageName(stage);
  }
}

TEST_F(ProgressTest, PatienceGrowsWithTheLongestStepThatASiteWasSeenToTake) {
  Repeat(0, 60, TaskStage::kTraining, 0, 40);
  Repeat(64, 660, TaskStage::kTraining, 1, 40);  // ten steps of a minute are waited for
  EXPECT_THAT(WhyStuck(), IsEmpty());
  Repeat(664, 720, TaskStage::kTraining, 1, 40);
  EXPECT_THAT(WhyStuck(), HasSubstr("stopped advancing"));
}

TEST_F(ProgressTest, EndIsKnownFromThePaceOnceTrainingRuns) {
  Say(0, TaskStage::kEvaluating, 0, 10);
  Say(5, TaskStage::kEvaluating, 5, 10);
  EXPECT_EQ(board_.Find("t")->ends, std::nullopt);  // nobody knows how long it trains
  Say(10, TaskStage::kTraining, 0, 40);
  EXPECT_EQ(board_.Find("t")->ends, std::nullopt);
  Say(12, TaskStage::kTraining, 20, 40);  // of which a process before it may have done 19
  EXPECT_EQ(board_.Find("t")->ends, std::nullopt);
  Say(32, TaskStage::kTraining, 30, 40);
  EXPECT_THAT(board_.Find("t")->ends, Optional(At(52)));
  EXPECT_EQ(board_.Find("t")->heard, At(32));
}

TEST_F(ProgressTest, EndOfTheNextTaskIsKnownFromTheLastOnesStages) {
  Say(0, TaskStage::kEvaluating, 0, 10);
  Say(10, TaskStage::kTraining, 0, 40);
  Say(110, TaskStage::kSendingUpdate, 0, 1000);
  Say(140, TaskStage::kSendingUpdate, 1000, 1000);
  board_.Forget([](const std::string&) { return false; }, [](const std::string&) { return true; });
  EXPECT_EQ(board_.Find("t"), std::nullopt);
  Say(200, TaskStage::kEvaluating, 0, 10, "next");
  EXPECT_THAT(board_.Find("next")->ends, Optional(At(200 + 10 + 100 + 30)));
  // The last evaluation is nothing but that.
  Say(200, TaskStage::kEvaluating, 0, 10, "last", TaskKind::kEvaluate);
  EXPECT_THAT(board_.Find("last")->ends, Optional(At(200 + 10)));
  board_.Forget([](const std::string&) { return true; }, [](const std::string&) { return false; });
  EXPECT_EQ(board_.Find("next")->ends, std::nullopt);
}

TEST_F(ProgressTest, EndOfWhatASiteMakesUpIsAYearAwayAtMost) {
  Say(0, TaskStage::kTraining, 0, 0);
  Say(1, TaskStage::kTraining, 1, 40);
  Say(2000, TaskStage::kTraining, 2, std::numeric_limits<std::uint64_t>::max());
  EXPECT_LE(*board_.Find("t")->ends, At(2000) + std::chrono::years(1));
}

}  // namespace
}  // namespace consilium
