// Updates that come after their round was closed.

#include "server/round/late_update.h"

#include "tests/server/round/coordinator_fixture.h"

namespace consilium {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

using LateUpdateTest = CoordinatorTest;

TEST_F(LateUpdateTest, CountsInTheNextRoundIfThePlanSaysSo) {
  for (const std::string site : {"site-a", "site-b"}) Enrol(site);
  v1::RunPlan plan = SmallPlan();
  plan.set_late_updates("next_round");
  const Assignment late = WhatIsLate(plan);
  const std::string& run = late.run_id;
  PassDeadline();
  ASSERT_EQ(coordinator_->FindRun(run)->round, 2);

  EXPECT_THAT(Do("site-b", late), IsOk());
  const RunState state = *coordinator_->FindRun(run);
  const auto own = std::ranges::find_if(
      state.tasks, [](const TaskState& task) { return task.round == 2 && task.site == "site-b"; });
  ASSERT_NE(own, state.tasks.end());
  EXPECT_EQ(own->status, TaskStatus::kDone);
  ASSERT_OK_AND_ASSIGN(const auto file, blobs_->Map(own->result.blob_digest));
  ASSERT_OK_AND_ASSIGN(const ModelHeader header, ParseModelHeader(file->bytes()));
  EXPECT_EQ(header.info.provenance.parent_digest, state.models.back().digest);
  // Sent once more, it changes nothing.
  EXPECT_THAT(Do("site-b", late), StatusIs(absl::StatusCode::kPermissionDenied));
}

// A lost answer: the hospital reports the same late update again when the next round is open.
TEST_F(LateUpdateTest, CountsOnce) {
  for (const std::string site : {"site-a", "site-b"}) Enrol(site);
  v1::RunPlan plan = SmallPlan();
  plan.mutable_quorum()->set_count(2);
  plan.set_late_updates("next_round");
  const Assignment late = WhatIsLate(plan);
  const std::string& run = late.run_id;
  PassDeadline();
  ASSERT_EQ(coordinator_->FindRun(run)->attempt, 2);
  ASSERT_THAT(Do("site-b", late), IsOk());
  coordinator_->Work();
  const RunState before = *coordinator_->FindRun(run);
  ASSERT_EQ(before.round, 2);
  const auto note = coordinator_->Report(
      "site-b", TaskSucceeded{late.task.id, {.blob_digest = before.models[0].digest}});
  ASSERT_THAT(note, IsOk());
  EXPECT_EQ(*note, "");
  EXPECT_EQ(*coordinator_->FindRun(run), before);
}

TEST_F(LateUpdateTest, IsAskedToWaitBetweenTwoRounds) {
  for (const std::string site : {"site-a", "site-b"}) Enrol(site);
  v1::RunPlan plan = SmallPlan();
  plan.set_late_updates("next_round");
  const Assignment late = WhatIsLate(plan);
  const std::string& run = late.run_id;
  // Its task ends, with nobody there yet to average the round.
  ASSERT_THAT(coordinator_->Report("site-b", TaskEnded{late.task.id, TaskStatus::kMissed, "slow"}),
              IsOk());
  ASSERT_EQ(coordinator_->FindRun(run)->status, RunStatus::kAggregating);
  EXPECT_THAT(Do("site-b", late), StatusIs(absl::StatusCode::kUnavailable));
  coordinator_->Work();
  EXPECT_THAT(Do("site-b", late), IsOk());
}

TEST_F(LateUpdateTest, IsDroppedOtherwise) {
  for (const std::string site : {"site-a", "site-b"}) Enrol(site);
  v1::RunPlan plan = SmallPlan();
  const Assignment late = WhatIsLate(plan);
  const std::string& run = late.run_id;
  PassDeadline();
  EXPECT_THAT(Do("site-b", late), StatusIs(absl::StatusCode::kPermissionDenied));  // no upload
  const auto note = coordinator_->Report("site-b", TaskSucceeded{late.task.id, {}});
  ASSERT_THAT(note, IsOk());
  EXPECT_THAT(*note, HasSubstr("the deadline passed"));
  EXPECT_EQ(coordinator_->FindRun(run)->misses.size(), 1U);
}

// The hospital is told to go on for as long as there is a chance.
TEST_F(LateUpdateTest, IsWorkedOnWhileItMayCount) {
  for (const std::string site : {"site-a", "site-b"}) Enrol(site);
  v1::RunPlan plan = SmallPlan();
  plan.mutable_quorum()->set_count(2);
  plan.set_round_attempts(2);
  const Assignment late = WhatIsLate(plan);
  const auto standing = [&] { return coordinator_->NoteProgress("site-b", late.task.id, {}); };
  EXPECT_EQ(standing(), TaskStanding::kOpen);
  PassDeadline();
  EXPECT_EQ(standing(), TaskStanding::kLate);  // a second attempt waits for it
  PassDeadline();
  ASSERT_EQ(coordinator_->FindRun(late.run_id)->status, RunStatus::kPaused);
  EXPECT_EQ(standing(), TaskStanding::kLate);  // somebody may resume the run
  ASSERT_THAT(coordinator_->Cancel(late.run_id), IsOk());
  EXPECT_EQ(standing(), TaskStanding::kEnded);
}

TEST_F(LateUpdateTest, CountsForTheSameRoundWhileThatIsTriedAgain) {
  for (const std::string site : {"site-a", "site-b"}) Enrol(site);
  v1::RunPlan plan = SmallPlan();
  plan.mutable_quorum()->set_count(2);
  const Assignment late = WhatIsLate(plan);
  const std::string& run = late.run_id;
  PassDeadline();
  ASSERT_EQ(coordinator_->FindRun(run)->attempt, 2);
  EXPECT_THAT(Do("site-b", late), IsOk());
  EXPECT_EQ(coordinator_->FindRun(run)->status, RunStatus::kAggregating);
}

}  // namespace
}  // namespace consilium
