#include "server/round/progress.h"

#include <gmock/gmock.h>

namespace consilium {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Optional;

constexpr seconds kDeadline{1000};  // patience: 100 s

class ProgressTest : public ::testing::Test {
 protected:
  // `site`'s word after so many seconds.
  void Say(int after, TaskStage stage, std::uint64_t done, std::uint64_t total,
           const std::string& task = "t") {
    board_.Note("run", "a", task, {stage, done, total}, At(after));
  }
  static TimePoint At(int after) { return FromUnixMillis(1'000'000) + seconds(after); }
  std::string WhyStuck() const { return board_.WhyStuck("t", kDeadline); }

  ProgressBoard board_;
};

TEST(ProgressInterval, IsAShareOfTheDeadlineWithinBounds) {
  EXPECT_EQ(ProgressInterval(seconds(10)), milliseconds(500));
  EXPECT_EQ(ProgressInterval(seconds(1200)), seconds(5));
  EXPECT_EQ(ProgressInterval(seconds(86400)), seconds(15));
}

TEST_F(ProgressTest, SlowSiteThatAdvancesIsNotStuck) {
  for (int step = 0; step < 20; ++step) {
    Say(step * 90, TaskStage::kTraining, static_cast<std::uint64_t>(step), 20);
    EXPECT_THAT(WhyStuck(), IsEmpty()) << step;
  }
}

TEST_F(ProgressTest, SiteThatSpeaksAndStandsStillIsStuck) {
  for (int after = 0; after <= 100; after += 10) Say(after, TaskStage::kTraining, 12, 40);
  EXPECT_THAT(WhyStuck(), IsEmpty());
  Say(101, TaskStage::kTraining, 12, 40);
  EXPECT_THAT(WhyStuck(), HasSubstr("stopped advancing: training, 12 of 40 for 101 s"));
}

TEST_F(ProgressTest, SilenceIsNotStandingStill) {
  Say(0, TaskStage::kTraining, 12, 40);
  Say(1, TaskStage::kTraining, 12, 40);
  // Whatever the time is now: nobody has said that the site does not advance.
  EXPECT_THAT(WhyStuck(), IsEmpty());
  Say(5000, TaskStage::kTraining, 30, 40);
  EXPECT_THAT(WhyStuck(), IsEmpty());
}

TEST_F(ProgressTest, PatienceGrowsWithTheLongestStepThatASiteWasSeenToTake) {
  Say(0, TaskStage::kTraining, 0, 40);
  Say(60, TaskStage::kTraining, 1, 40);  // a step of a minute: ten of them are waited for
  Say(600, TaskStage::kTraining, 1, 40);
  EXPECT_THAT(WhyStuck(), IsEmpty());
  Say(661, TaskStage::kTraining, 1, 40);
  EXPECT_THAT(WhyStuck(), HasSubstr("601 s"));
}

TEST_F(ProgressTest, EndIsKnownFromTheRateOnceTrainingRuns) {
  Say(0, TaskStage::kEvaluating, 0, 10);
  Say(5, TaskStage::kEvaluating, 5, 10);
  EXPECT_EQ(board_.Find("t")->ends, std::nullopt);  // nobody knows how long it trains
  Say(10, TaskStage::kTraining, 0, 40);
  EXPECT_EQ(board_.Find("t")->ends, std::nullopt);
  Say(30, TaskStage::kTraining, 10, 40);
  EXPECT_THAT(board_.Find("t")->ends, Optional(At(90)));
  EXPECT_EQ(board_.Find("t")->heard, At(30));
}

TEST_F(ProgressTest, EndOfTheNextTaskIsKnownFromTheLastOnesStages) {
  Say(0, TaskStage::kEvaluating, 0, 10);
  Say(10, TaskStage::kTraining, 0, 40);
  Say(110, TaskStage::kSendingUpdate, 0, 1000);
  Say(200, TaskStage::kEvaluating, 0, 10, "next");
  EXPECT_THAT(board_.Find("next")->ends, Optional(At(200 + 10 + 100)));
  Say(204, TaskStage::kEvaluating, 2, 10, "next");
  EXPECT_THAT(board_.Find("next")->ends, Optional(At(204 + 16 + 100)));
}

TEST_F(ProgressTest, ForgetsTasksThatEndedAndRunsThatAreOver) {
  Say(0, TaskStage::kTraining, 0, 40);
  Say(10, TaskStage::kSendingUpdate, 0, 40);
  board_.Forget([](const std::string&) { return false; }, [](const std::string&) { return true; });
  EXPECT_EQ(board_.Find("t"), std::nullopt);
  Say(20, TaskStage::kEvaluating, 0, 40);
  EXPECT_THAT(board_.Find("t")->ends, ::testing::Eq(std::nullopt));  // evaluating took no time yet
  Say(22, TaskStage::kEvaluating, 20, 40);
  EXPECT_THAT(board_.Find("t")->ends, Optional(At(24 + 10)));
  board_.Forget([](const std::string&) { return true; }, [](const std::string&) { return false; });
  EXPECT_EQ(board_.Find("t")->ends, std::nullopt);
}

}  // namespace
}  // namespace consilium
