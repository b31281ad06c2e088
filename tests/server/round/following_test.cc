// Runs that follow a higher coordinator's: what this coordinator's sites do in them.

#include "server/round/engine.h"
#include "tests/server/round/engine_fixture.h"

namespace consilium {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class FollowingTest : public EngineTest {
 protected:
  void StartAfter(int round) {
    run_ = StartFollowing("r", "plan", config_, Given(round), context_);
  }
  ModelGiven Given(int round) const {
    return {{round, "g" + std::to_string(round), 10}, context_.now + time_};
  }
  void Give(int round) { Happen(Given(round)); }

  // The current round up to what goes to the higher coordinator.
  void DoRound() {
    for (const std::string& site : Open()) Succeed(site);
    ASSERT_EQ(run_.status, RunStatus::kAggregating);
    Happen(RoundAveraged{{run_.round, "average", 10}});
  }

  std::chrono::seconds time_{1000};  // that the higher coordinator gives
};

TEST_F(FollowingTest, RoundsAverageWaitsForTheHigherCoordinatorsNextModel) {
  StartAfter(0);
  EXPECT_EQ(run_.round, 1);
  EXPECT_THAT(Open(), ElementsAre("a", "b", "c"));
  DoRound();
  EXPECT_EQ(run_.status, RunStatus::kAwaitingModel);
  EXPECT_EQ(run_.regional, (ModelVersion{1, "average", 10}));
  EXPECT_THAT(UnusedResults(run_), ElementsAre("average"));
  EXPECT_EQ(run_.models.back().digest, "g0");

  Give(1);
  EXPECT_EQ(run_.status, RunStatus::kTraining);
  EXPECT_EQ(run_.round, 2);
  EXPECT_EQ(run_.models.back().digest, "g1");
  EXPECT_THAT(run_.regional.digest, IsEmpty());
  DoRound();
  Give(2);
  EXPECT_EQ(run_.status, RunStatus::kEvaluating);
  for (const std::string& site : Open()) Succeed(site);
  EXPECT_EQ(run_.status, RunStatus::kCompleted);
}

TEST_F(FollowingTest, LostUpdateIsAskedForAgainInTheHigherCoordinatorsTime) {
  StartAfter(0);
  const TimePoint deadline = run_.deadline;
  for (const std::string& site : Open()) Succeed(site);
  context_.now += std::chrono::seconds(1);
  Happen(UpdateLost{run_.tasks[0].id});
  EXPECT_EQ(run_.status, RunStatus::kTraining);
  EXPECT_THAT(Open(), ElementsAre("a"));
  EXPECT_EQ(run_.deadline, deadline);
  Give(1);  // it was not waited for
  ASSERT_EQ(run_.misses.size(), 1U);
  EXPECT_EQ(run_.misses[0].site, "a");
}

TEST_F(FollowingTest, RoundThatIsAskedForAgainNotesItsMissesOnce) {
  StartAfter(0);
  Succeed("a");
  Succeed("c");
  Fail("b");
  ASSERT_EQ(run_.status, RunStatus::kAggregating);
  Happen(RunBroken{1, "the disk"});
  Give(0);
  EXPECT_THAT(Open(), ElementsAre("b"));
  EXPECT_TRUE(run_.misses.empty());
  Fail("b");
  EXPECT_EQ(run_.status, RunStatus::kAggregating);
  EXPECT_EQ(run_.misses.size(), 1U);
}

TEST_F(FollowingTest, LostUpdateOfARoundThatIsDeliveredIsOfNoUse) {
  StartAfter(0);
  DoRound();
  const RunState before = run_;
  Happen(UpdateLost{run_.tasks[0].id});
  EXPECT_EQ(run_, before);
}

TEST_F(FollowingTest, BeginsWithTheRoundThatItIsAskedFor) {
  config_.rounds = 9;
  StartAfter(4);
  EXPECT_EQ(run_.round, 5);
  EXPECT_THAT(Open(), ElementsAre("a", "b", "c"));
  DoRound();
  EXPECT_EQ(run_.regional.round, 5);
}

TEST_F(FollowingTest, ModelThatWasGivenBeforeChangesNothingWhileItsRoundIsUnderWay) {
  StartAfter(0);
  Succeed("a");
  const RunState before = run_;
  Give(0);
  EXPECT_EQ(run_, before);
  for (const std::string& site : Open()) Succeed(site);
  Happen(RoundAveraged{{1, "average", 10}});
  const RunState made = run_;
  Give(0);
  EXPECT_EQ(run_, made);
}

TEST_F(FollowingTest, GoesOnWithTheHigherCoordinatorWhereItWasTooSlow) {
  config_.rounds = 9;
  StartAfter(0);
  Succeed("a");
  Give(3);
  EXPECT_EQ(run_.round, 4);
  EXPECT_THAT(Open(), ElementsAre("a", "b", "c"));
  std::vector<std::string> missed;
  for (const Miss& miss : run_.misses) missed.push_back(miss.site);
  EXPECT_THAT(missed, ElementsAre("b", "c"));
  // What the round before came to is of no use to anybody any more.
  Happen(RoundAveraged{{1, "average", 10}});
  EXPECT_EQ(run_.round, 4);
  EXPECT_EQ(run_.models.size(), 2U);
}

TEST_F(FollowingTest, AsksThoseThatHaveNotDeliveredWhereItIsAskedAgain) {
  config_.round_attempts = 1;
  config_.quorum_fraction = 1;
  StartAfter(0);
  Succeed("a");
  Fail("b");
  Succeed("c");
  ASSERT_EQ(run_.status, RunStatus::kPaused);
  Give(0);
  EXPECT_EQ(run_.status, RunStatus::kTraining);
  EXPECT_THAT(Open(), ElementsAre("b"));
  DoRound();
  EXPECT_EQ(run_.regional.round, 1);
}

TEST_F(FollowingTest, EndsARoundThatIsNotWanted) {
  StartAfter(0);
  Succeed("a");
  Happen(RoundUnwanted{1});
  EXPECT_THAT(Open(), IsEmpty());
  EXPECT_EQ(run_.status, RunStatus::kAwaitingModel);
  EXPECT_THAT(UnusedResults(run_), ElementsAre("u-a"));
  Give(0);  // after all
  EXPECT_THAT(Open(), ElementsAre("b", "c"));
  Happen(RoundUnwanted{7});
  EXPECT_THAT(Open(), ElementsAre("b", "c"));
}

TEST_F(FollowingTest, SiteMakesTheInitialModelForTheHigherCoordinator) {
  run_ = StartFollowing("r", "plan", config_, std::nullopt, context_);
  Happen(SiteAsked{"b"});
  Succeed("b");
  EXPECT_EQ(run_.status, RunStatus::kAwaitingModel);
  EXPECT_EQ(run_.regional.digest, "u-b");
  EXPECT_THAT(run_.models, IsEmpty());
  Give(0);
  EXPECT_EQ(run_.round, 1);
  EXPECT_THAT(Open(), ElementsAre("a", "b", "c"));
}

TEST_F(FollowingTest, OnlyTheHigherCoordinatorSetsThePace) {
  StartAfter(0);
  EXPECT_FALSE(CanPause(run_));
  Happen(PauseRequested{});
  EXPECT_FALSE(run_.pausing);
  config_.quorum_fraction = 1;
  StartAfter(0);
  Fail("a");
  Succeed("b");
  Succeed("c");
  for (const std::string& site : Open()) Fail(site);
  ASSERT_EQ(run_.status, RunStatus::kPaused);
  EXPECT_FALSE(CanResume(run_));
  Happen(ResumeRequested{});
  EXPECT_EQ(run_.status, RunStatus::kPaused);
}

TEST_F(FollowingTest, RoundEndsByThePlansDeadlineOrTheHigherCoordinatorsWhicheverIsFirst) {
  config_.round_deadline = std::chrono::seconds(100);
  StartAfter(0);
  EXPECT_EQ(run_.deadline, context_.now + std::chrono::seconds(100));
  time_ = std::chrono::seconds(30);
  Give(1);
  EXPECT_EQ(run_.deadline, context_.now + std::chrono::seconds(30));
  config_.round_attempts = 1;
  Succeed("a");
  Succeed("b");
  Wait(std::chrono::seconds(30));
  EXPECT_EQ(run_.status, RunStatus::kAggregating);
}

TEST_F(FollowingTest, RoundThatCannotBeAveragedIsNotTheEnd) {
  StartAfter(0);
  for (const std::string& site : Open()) Succeed(site);
  Happen(RunBroken{1, "a blob was damaged"});
  EXPECT_EQ(run_.status, RunStatus::kAwaitingModel);
  EXPECT_EQ(run_.reason, "a blob was damaged");
  EXPECT_THAT(run_.regional.digest, IsEmpty());
  Give(1);
  EXPECT_EQ(run_.status, RunStatus::kTraining);
  Happen(RunBroken{1, "late"});
  EXPECT_EQ(run_.status, RunStatus::kTraining);
}

TEST_F(FollowingTest, NoInitialModelIsNotTheEnd) {
  run_ = StartFollowing("r", "plan", config_, std::nullopt, context_);
  Happen(SiteAsked{"a"});
  Fail("a");
  Happen(SiteAsked{"b"});
  Fail("b");
  Happen(SiteAsked{"c"});
  Fail("c");
  EXPECT_EQ(run_.status, RunStatus::kAwaitingModel);
  EXPECT_THAT(run_.reason, HasSubstr("no site made"));
  Give(0);  // another region made one
  EXPECT_THAT(Open(), ElementsAre("a", "b", "c"));
  EXPECT_THAT(run_.misses, IsEmpty());
}

TEST_F(FollowingTest, LastEvaluationThatIsNotWantedDoesNotCompleteTheRun) {
  config_.rounds = 1;
  StartAfter(0);
  DoRound();
  Give(1);
  ASSERT_EQ(run_.status, RunStatus::kEvaluating);
  Happen(RoundUnwanted{2});
  EXPECT_EQ(run_.status, RunStatus::kAwaitingModel);
  EXPECT_THAT(Open(), IsEmpty());
}

TEST_F(FollowingTest, RunOfItsOwnTakesNoModelFromAbove) {
  Start();
  const RunState before = run_;
  Give(1);
  Happen(RoundUnwanted{1});
  EXPECT_EQ(run_, before);
}

}  // namespace
}  // namespace consilium
