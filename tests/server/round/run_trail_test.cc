#include "server/round/run_trail.h"

#include <gmock/gmock.h>

#include "server/round/engine.h"

namespace consilium {
namespace {

using ::testing::ElementsAre;

// Walks a run and keeps what each step adds to the trail.
class RunTrailTest : public ::testing::Test {
 protected:
  void Start() {
    RunState before;
    before.id = "r";
    run_ = StartRun("r", "plan", config_, ModelVersion{0, "m0", 10}, context_);
    Note(before);
  }
  void Happen(const RunEvent& event) {
    const RunState before = run_;
    run_ = Apply(run_, event, context_);
    Note(before);
    refused_ = RefusedAfterDelivery(before, run_);
  }
  void Deliver(const std::string& site, double norm = 1) {
    const std::string id = "r.r1." + site + ".train";
    Happen(TaskSucceeded{
        id,
        {.blob_digest = "u-" + site, .train_examples = 5, .update_norm = norm, .evaluation = {}}});
  }
  void Note(const RunState& before) {
    entries_ = WhatHappened(before, run_);
    events_.clear();
    for (const AuditEntry& entry : entries_) events_.push_back(entry.event);
  }

  RunConfig config_ = {.rounds = 1, .quorum_fraction = 0.6, .sites = {}, .model = {}};
  RunContext context_ = {.now = FromUnixMillis(1000), .active_sites = {"a", "b", "c"}};
  RunState run_;
  std::vector<AuditEntry> entries_;
  std::vector<std::string> events_;
  std::vector<TaskState> refused_;
};

TEST_F(RunTrailTest, RunIsToldFromItsStartToItsEnd) {
  Start();
  EXPECT_THAT(events_, ElementsAre("model", "run", "task", "task", "task"));
  EXPECT_EQ(entries_[2].fields["model"], "m0");
  Deliver("a");
  EXPECT_THAT(events_, ElementsAre("update_accepted"));
  EXPECT_EQ(entries_[0].fields["digest"], "u-a");
  EXPECT_EQ(entries_[0].fields["norm"], 1.0);
  EXPECT_EQ(entries_[0].fields["train_examples"], 5);
  Happen(TaskEnded{"r.r1.b.train", TaskStatus::kRefused, "not this architecture"});
  EXPECT_THAT(events_, ElementsAre("task_ended"));
  EXPECT_EQ(entries_[0].fields["status"], "refused");
  EXPECT_EQ(entries_[0].fields["reason"], "not this architecture");
  Deliver("c");
  EXPECT_THAT(events_, ElementsAre("update_accepted", "run"));
  Happen(RoundAveraged{{1, "m1", 10}});
  EXPECT_THAT(events_, ElementsAre("model", "run", "task", "task", "task"));
  EXPECT_EQ(entries_[0].fields["digest"], "m1");
  EXPECT_EQ(entries_[0].fields["updates"], 2);
  Happen(CancelRequested{});
  EXPECT_THAT(events_, ElementsAre("task_ended", "task_ended", "task_ended", "run"));
  EXPECT_EQ(entries_[3].fields["status"], "CANCELLED");
}

TEST_F(RunTrailTest, LostUpdateIsNamed) {
  Start();
  for (const std::string site : {"a", "b", "c"}) Deliver(site);
  Happen(UpdateLost{run_.tasks[1].id});
  EXPECT_THAT(events_, ElementsAre("update_lost", "run"));
  EXPECT_EQ(entries_[0].fields["site"], "b");
  EXPECT_EQ(entries_[0].fields["digest"], "u-b");
  Deliver("b");
  EXPECT_THAT(events_, ElementsAre("update_accepted", "run"));
}

TEST_F(RunTrailTest, NothingIsSaidOfWhatChangesNothing) {
  Start();
  Happen(TimePassed{});
  EXPECT_TRUE(events_.empty());
}

TEST_F(RunTrailTest, UpdateThatIsTakenBackIsRefusedWhetherItCameLastOrNot) {
  config_.max_norm_ratio = 10;
  for (const bool last : {false, true}) {
    Start();
    if (!last) Deliver("a", 1000);
    Deliver("b");
    Deliver("c");
    if (last) Deliver("a", 1000);
    EXPECT_THAT(events_, ::testing::Contains("update_refused")) << last;
    EXPECT_THAT(events_, ::testing::Not(::testing::Contains("update_lost"))) << last;
    ASSERT_EQ(refused_.size(), 1U) << last;
    EXPECT_EQ(refused_[0].site, "a");
    EXPECT_EQ(refused_[0].result.blob_digest, "u-a");
  }
}

}  // namespace
}  // namespace consilium
