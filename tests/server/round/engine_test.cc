#include "server/round/engine.h"

#include <gmock/gmock.h>

#include <tuple>

#include "tests/server/round/engine_fixture.h"

namespace consilium {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(EngineTest, RunsThroughItsRoundsToCompleted) {
  Start();
  for (int round = 1; round <= 2; ++round) {
    EXPECT_EQ(run_.status, RunStatus::kTraining);
    EXPECT_EQ(run_.round, round);
    EXPECT_THAT(Open(), ElementsAre("a", "b", "c"));
    for (const char* site : {"b", "c", "a"}) Succeed(site);
    EXPECT_EQ(run_.status, RunStatus::kAggregating);
    Happen(RoundAveraged{{round, "m" + std::to_string(round), 10}});
  }
  EXPECT_EQ(run_.status, RunStatus::kEvaluating);
  for (const char* site : {"a", "b", "c"}) Succeed(site);
  EXPECT_EQ(run_.status, RunStatus::kCompleted);
  EXPECT_EQ(run_.models.back().round, 2);
  EXPECT_EQ(run_.ended, context_.now);
}

TEST_F(EngineTest, UpdateOutOfAllProportionIsTakenBackWhenItsRoundCloses) {
  config_.max_norm_ratio = 10;
  Start();
  Succeed("a", 2);
  Succeed("b", 30);
  Succeed("c", 1);  // the median is 2
  EXPECT_EQ(run_.status, RunStatus::kAggregating);
  const auto delivered = DeliveredTasks(run_);
  ASSERT_EQ(delivered.size(), 2U);
  EXPECT_FALSE(delivered.contains("b"));
  ASSERT_EQ(run_.misses.size(), 1U);
  EXPECT_EQ(run_.misses[0].site, "b");
  EXPECT_THAT(run_.misses[0].reason,
              HasSubstr("norm is 30, more than 10 times the round's median"));
}

TEST_F(EngineTest, UpdatesWithinTheRatioCountAndSoDoAllWithoutOne) {
  config_.max_norm_ratio = 20;
  Start();
  for (const auto& [site, norm] : {std::pair("a", 2.0), {"b", 30.0}, {"c", 1.0}}) {
    Succeed(site, norm);
  }
  EXPECT_EQ(DeliveredTasks(run_).size(), 3U);
  config_.max_norm_ratio = 0;
  Start();
  for (const auto& [site, norm] : {std::pair("a", 2.0), {"b", 3e9}, {"c", 1.0}}) {
    Succeed(site, norm);
  }
  EXPECT_EQ(DeliveredTasks(run_).size(), 3U);
}

TEST_F(EngineTest, NormsAreComparedByTheStepWhereUpdatesCountByIt) {
  config_.max_norm_ratio = 10;
  config_.normalise = true;
  Start();
  for (const auto& [site, steps, norm] :
       {std::tuple("a", 2, 2.0), {"b", 60, 60.0}, {"c", 1, 15.0}}) {
    Happen(TaskSucceeded{"r.r1." + std::string(site) + ".train",
                         {.blob_digest = "u-" + std::string(site),
                          .train_examples = 5,
                          .steps = static_cast<std::uint64_t>(steps),
                          .update_norm = norm}});
  }
  const auto delivered = DeliveredTasks(run_);
  EXPECT_TRUE(delivered.contains("a"));
  EXPECT_TRUE(delivered.contains("b"));
  EXPECT_FALSE(delivered.contains("c"));  // 15 a step, the median is 1
}

TEST_F(EngineTest, TwoUpdatesHaveNoMedianToSpeakOf) {
  config_.max_norm_ratio = 10;
  Start();
  Succeed("a", 1);
  Fail("b");
  Succeed("c", 1000);
  EXPECT_EQ(DeliveredTasks(run_).size(), 2U);
}

TEST_F(EngineTest, RoundThatLosesItsQuorumToTheRatioIsTriedAgain) {
  config_.max_norm_ratio = 10;
  config_.quorum_fraction = 1;
  Start();
  Succeed("a", 1);
  Succeed("b", 1);
  Succeed("c", 1000);
  EXPECT_EQ(run_.status, RunStatus::kTraining);
  EXPECT_THAT(Open(), ElementsAre("c"));
  Succeed("c", 1000);
  EXPECT_EQ(run_.status, RunStatus::kPaused);
  EXPECT_THAT(run_.reason, HasSubstr("c: its update was refused"));
}

TEST_F(EngineTest, ClosesAtQuorumWhenDeadlinePasses) {
  Start();
  Succeed("a");
  Succeed("c");
  Wait(std::chrono::seconds(99));
  EXPECT_EQ(run_.status, RunStatus::kTraining);
  Wait(std::chrono::seconds(1));
  EXPECT_EQ(run_.status, RunStatus::kAggregating);
  EXPECT_EQ(run_.tasks[1].status, TaskStatus::kMissed);
}

TEST_F(EngineTest, BelowQuorumAsksTheMissingSitesAgain) {
  Start();
  Succeed("b");
  Fail("a");
  Wait(std::chrono::seconds(100));
  EXPECT_EQ(run_.status, RunStatus::kTraining);
  EXPECT_EQ(run_.round, 1);
  EXPECT_EQ(run_.attempt, 2);
  EXPECT_THAT(Open(), ElementsAre("a", "c"));  // b has delivered, and its update still counts
  EXPECT_EQ(run_.deadline, context_.now + config_.round_deadline);
  Succeed("c");
  Fail("a");
  EXPECT_EQ(run_.status, RunStatus::kAggregating);
}

TEST_F(EngineTest, LostUpdateIsAskedForOnceMoreByTheSameTask) {
  Start();
  Succeed("a");
  Succeed("c");
  Wait(std::chrono::seconds(100));
  ASSERT_EQ(run_.status, RunStatus::kAggregating);
  const std::string task = run_.tasks[2].id;
  Happen(UpdateLost{task});
  EXPECT_EQ(run_.status, RunStatus::kTraining);
  EXPECT_THAT(Open(), ElementsAre("c"));  // a's counts, and b has had its time
  EXPECT_EQ(run_.tasks[2].id, task);
  EXPECT_EQ(run_.tasks[2].result, TaskResult());
  EXPECT_TRUE(run_.misses.empty());  // b may come to deliver yet
  EXPECT_EQ(run_.deadline, context_.now + config_.round_deadline);
  Succeed("c");
  EXPECT_EQ(run_.status, RunStatus::kAggregating);
  EXPECT_EQ(run_.misses.size(), 1U);  // b's, once
}

TEST_F(EngineTest, LostUpdateOfARevokedSiteIsMissedAndNotWaitedFor) {
  Start();
  Succeed("a");
  Succeed("b");
  Succeed("c");
  const std::string task = run_.tasks[1].id;
  context_.active_sites = {"a", "c"};
  Happen(SiteRevoked{"b"});
  Happen(UpdateLost{task});
  EXPECT_EQ(run_.status, RunStatus::kAggregating);  // the quorum of those who are left holds
  ASSERT_EQ(run_.misses.size(), 1U);
  EXPECT_EQ(run_.misses[0].site, "b");
}

TEST_F(EngineTest, LostUpdateOfARevokedSiteMayCostTheQuorum) {
  config_.quorum_count = 3;
  config_.round_attempts = 1;
  Start();
  for (const std::string site : {"a", "b", "c"}) Succeed(site);
  const std::string task = run_.tasks[1].id;
  context_.active_sites = {"a", "c"};
  Happen(UpdateLost{task});
  EXPECT_EQ(run_.status, RunStatus::kPaused);
  EXPECT_THAT(run_.reason, HasSubstr("b: its update was lost"));
}

TEST_F(EngineTest, RoundThatIsClosedOnceMoreJudgesNormsByTheSameMedian) {
  config_.max_norm_ratio = 3;
  config_.quorum_fraction = 0.1;
  context_.active_sites = {"a", "b", "c", "d", "e", "f"};
  Start();
  const std::map<std::string, double> norms = {{"a", 1}, {"b", 1},   {"c", 2},
                                               {"d", 5}, {"e", 100}, {"f", 100}};
  for (const auto& [site, norm] : norms) Succeed(site, norm);
  const auto refused = [&] {
    std::string sites;
    for (const TaskState& task : run_.tasks) {
      if (task.status == TaskStatus::kFailed) sites += task.site;
    }
    return sites;
  };
  ASSERT_EQ(refused(), "ef");
  Happen(UpdateLost{run_.tasks[0].id});
  Succeed("a", norms.at("a"));
  EXPECT_EQ(run_.status, RunStatus::kAggregating);
  EXPECT_EQ(refused(), "ef");  // of a, b, c and d alone the median is 1
}

TEST_F(EngineTest, LostUpdateOfAPausedRoundIsAskedForWhenItIsResumed) {
  config_.round_attempts = 1;
  Start();
  Succeed("a");
  Fail("b");
  Fail("c");
  ASSERT_EQ(run_.status, RunStatus::kPaused);
  Happen(UpdateLost{run_.tasks[0].id});
  EXPECT_EQ(run_.status, RunStatus::kPaused);
  Happen(ResumeRequested{});
  EXPECT_THAT(Open(), ElementsAre("a", "b", "c"));
}

TEST_F(EngineTest, PausesBelowQuorumAfterTheLastAttemptAndSaysWhoIsMissing) {
  Start();
  Succeed("b");
  Fail("a");
  Wait(std::chrono::seconds(100));
  Fail("a");
  Wait(std::chrono::seconds(100));
  EXPECT_EQ(run_.status, RunStatus::kPaused);
  EXPECT_TRUE(Open().empty());
  EXPECT_THAT(run_.reason, HasSubstr("1 of 3 sites delivered an update, the quorum is 2"));
  EXPECT_THAT(run_.reason, HasSubstr("a: out of memory"));
  EXPECT_THAT(run_.reason, HasSubstr("c: the deadline passed"));
  Wait(std::chrono::hours(1000));  // a paused run has no deadline
  EXPECT_EQ(run_.status, RunStatus::kPaused);
  Happen(ResumeRequested{});
  EXPECT_EQ(run_.status, RunStatus::kTraining);
  EXPECT_EQ(run_.reason, "");
  EXPECT_THAT(Open(), ElementsAre("a", "c"));
}

TEST_F(EngineTest, ResumesWithoutTheSitesThatWereRevokedMeanwhile) {
  config_.quorum_fraction = 1;
  config_.round_attempts = 1;
  Start();
  Succeed("a");
  Succeed("b");
  Fail("c");
  ASSERT_EQ(run_.status, RunStatus::kPaused);
  context_.active_sites = {"a", "b"};
  Happen(ResumeRequested{});
  EXPECT_EQ(run_.status, RunStatus::kAggregating);  // all that are left have delivered
}

TEST_F(EngineTest, PausesWhereFewerSitesAreActiveThanTheQuorum) {
  config_.quorum_count = 3;
  Start();
  for (const char* site : {"a", "b", "c"}) Succeed(site);
  context_.active_sites = {"a", "b"};
  Happen(RoundAveraged{{1, "m1", 10}});
  EXPECT_EQ(run_.status, RunStatus::kPaused);
  EXPECT_THAT(run_.reason, HasSubstr("2 sites are active, the quorum is 3"));
  context_.active_sites = {"a", "b", "d"};
  Happen(ResumeRequested{});
  EXPECT_THAT(Open(), ElementsAre("a", "b", "d"));
}

TEST_F(EngineTest, PausesOnRequestWhereTheRoundEnds) {
  Start();
  Happen(PauseRequested{});
  EXPECT_THAT(Open(), ElementsAre("a", "b", "c"));
  for (const char* site : {"a", "b", "c"}) Succeed(site);
  Happen(RoundAveraged{{1, "m1", 10}});
  EXPECT_EQ(run_.status, RunStatus::kPaused);
  EXPECT_EQ(run_.round, 2);
  EXPECT_TRUE(Open().empty());
  Happen(ResumeRequested{});
  EXPECT_EQ(run_.status, RunStatus::kTraining);
  EXPECT_THAT(Open(), ElementsAre("a", "b", "c"));
}

TEST_F(EngineTest, PauseThatWasTakenBackDoesNotHappen) {
  Start();
  Happen(PauseRequested{});
  Happen(ResumeRequested{});
  for (const char* site : {"a", "b", "c"}) Succeed(site);
  Happen(RoundAveraged{{1, "m1", 10}});
  EXPECT_EQ(run_.status, RunStatus::kTraining);
}

TEST_F(EngineTest, RunWithMissesEndsDegradedAndNamesThem) {
  config_.rounds = 4;
  Start();
  for (int round = 1; round <= 4; ++round) {
    for (const char* site : {"a", "b"}) Succeed(site);
    round == 3 ? Succeed("c") : Fail("c");
    Happen(RoundAveraged{{round, "m", 10}});
  }
  for (const char* site : {"a", "c"}) Succeed(site);
  Wait(std::chrono::seconds(100));
  EXPECT_EQ(run_.status, RunStatus::kDegraded);
  EXPECT_EQ(run_.reason, "b missed the final evaluation; c missed rounds 1-2, round 4");
  EXPECT_EQ(run_.misses.size(), 4U);
  EXPECT_EQ(run_.misses[0], (Miss{1, "c", "out of memory"}));
}

TEST_F(EngineTest, SiteOfThePlanThatNobodyCouldAskIsMissed) {
  config_.sites = {"a", "b", "c"};
  config_.rounds = 1;
  context_.active_sites = {"a", "b"};
  Start();
  for (const char* site : {"a", "b"}) Succeed(site);
  Happen(RoundAveraged{{1, "m1", 10}});
  for (const char* site : {"a", "b"}) Succeed(site);
  EXPECT_EQ(run_.status, RunStatus::kDegraded);
  EXPECT_EQ(run_.reason, "c missed round 1, the final evaluation");
}

TEST_F(EngineTest, ClosesAtOnceWhenEveryTaskHasEnded) {
  Start();
  Succeed("a");
  Fail("b", TaskStatus::kRefused);
  Succeed("c");
  EXPECT_EQ(run_.status, RunStatus::kAggregating);
}

TEST_F(EngineTest, FirstSiteThatAsksMakesTheInitialModel) {
  StartWithoutModel();
  EXPECT_TRUE(Open().empty());
  Happen(SiteAsked{"stranger"});
  EXPECT_TRUE(Open().empty());
  Happen(SiteAsked{"b"});
  Happen(SiteAsked{"a"});
  EXPECT_THAT(Open(), ElementsAre("b"));
  Succeed("b");
  EXPECT_EQ(run_.status, RunStatus::kTraining);
  EXPECT_EQ(run_.models.front().digest, "u-b");
  EXPECT_EQ(run_.tasks.front().status, TaskStatus::kDone);  // still to be seen, so to be saved
  EXPECT_THAT(Open(), ElementsAre("a", "b", "c"));
}

TEST_F(EngineTest, AnotherSiteMakesTheInitialModelWhenOneCannot) {
  StartWithoutModel();
  Happen(SiteAsked{"a"});
  Fail("a");
  Happen(SiteAsked{"a"});  // it has had its turn
  EXPECT_TRUE(Open().empty());
  Happen(SiteAsked{"c"});
  EXPECT_THAT(Open(), ElementsAre("c"));
  Wait(std::chrono::seconds(100));  // silent
  Happen(SiteAsked{"b"});
  Fail("b");
  EXPECT_EQ(run_.status, RunStatus::kFailed);
  EXPECT_THAT(run_.reason, HasSubstr("initial model"));
}

TEST_F(EngineTest, FailsAtOnceWhenEverySiteHasTriedTheInitialModel) {
  context_.active_sites = {"a"};
  StartWithoutModel();
  Happen(SiteAsked{"a"});
  Fail("a", TaskStatus::kRefused);
  EXPECT_EQ(run_.status, RunStatus::kFailed);
  EXPECT_THAT(run_.reason, HasSubstr("a: out of memory"));
}

TEST_F(EngineTest, RevokedSiteIsNotWaitedFor) {
  Start();
  Succeed("a");
  Succeed("b");
  Happen(SiteRevoked{"c"});
  EXPECT_EQ(run_.status, RunStatus::kAggregating);
}

TEST_F(EngineTest, EndsWhenNoSiteEverAsks) {
  StartWithoutModel();
  Wait(std::chrono::seconds(100));
  EXPECT_EQ(run_.status, RunStatus::kFailed);
}

TEST_F(EngineTest, LateAndRepeatedReportsChangeNothing) {
  Start();
  const std::string task = run_.tasks[0].id;
  Succeed("a");
  const RunState before = run_;
  Happen(TaskSucceeded{task, {.blob_digest = "other", .train_examples = 9}});
  EXPECT_EQ(run_, before);
  Succeed("b");
  Wait(std::chrono::seconds(100));
  const RunState closed = run_;
  Happen(TaskSucceeded{run_.tasks[2].id, {.blob_digest = "late", .train_examples = 9}});
  EXPECT_EQ(run_, closed);
}

TEST_F(EngineTest, EvaluationCompletesWithWhoeverAnswers) {
  config_.rounds = 1;
  Start();
  for (const char* site : {"a", "b", "c"}) Succeed(site);
  Happen(RoundAveraged{{1, "m1", 10}});
  Succeed("a");
  Wait(std::chrono::seconds(100));
  EXPECT_EQ(run_.status, RunStatus::kDegraded);
}

TEST_F(EngineTest, BrokenRunFailsWithTheReason) {
  Start();
  Happen(RunBroken{1, "of a round that is not being averaged"});
  EXPECT_EQ(run_.status, RunStatus::kTraining);
  for (const std::string& site : Open()) Succeed(site);
  Happen(RunBroken{1, "disk on fire"});
  EXPECT_EQ(run_.status, RunStatus::kFailed);
  EXPECT_EQ(run_.reason, "disk on fire");
}

TEST_F(EngineTest, NextRoundAsksWhoeverIsActiveThen) {
  Start();
  context_.active_sites = {"a", "c", "d"};
  for (const char* site : {"a", "b", "c"}) Succeed(site);
  Happen(RoundAveraged{{1, "m1", 10}});
  EXPECT_THAT(Open(), ElementsAre("a", "c", "d"));
}

}  // namespace
}  // namespace consilium
