// Hospitals that wait for work hear of it when it comes, and not at the end of their wait.

#include <gmock/gmock.h>

#include "tests/server/round/coordinator_fixture.h"

namespace consilium {
namespace {

using testing::IsOk;

class CoordinatorWaitsTest : public CoordinatorTest {
 protected:
  // Waits far longer than the test lasts. What is found is there once it is.
  struct Answer {
    bool came = false;
    std::string task_id;
  };
  void WaitLong(const std::string& site, Answer& answer) {
    answer = {};
    coordinator_->WaitForTask(site, clock_.Now() + std::chrono::hours(1), [&](auto found) {
      ASSERT_THAT(found, IsOk());
      answer.came = true;
      if (*found) answer.task_id = (*found)->task.id;
    });
  }
  // The site's task, which it does.
  void DoNext(const std::string& site) { ASSERT_THAT(Do(site, **Wait(site)), IsOk()); }

  Answer heard_;
};

TEST_F(CoordinatorWaitsTest, HearsOfEachRoundAndOfTheEvaluation) {
  Enrol("site-a");
  Enrol("site-b");
  WaitLong("site-b", heard_);
  EXPECT_FALSE(heard_.came);
  v1::RunPlan plan = SmallPlan();
  plan.set_rounds(2);
  const std::string run = Submit(plan);
  EXPECT_EQ(heard_.task_id, run + ".r0.site-b.initialise");  // nobody else waits
  DoNext("site-b");
  for (const std::string task : {".r1.site-b.train", ".r2.site-b.train", ".r3.site-b.evaluate"}) {
    WaitLong("site-b", heard_);
    EXPECT_EQ(heard_.task_id, run + task);
    DoNext("site-b");
    WaitLong("site-b", heard_);
    EXPECT_FALSE(heard_.came);  // the round goes on without it
    DoNext("site-a");
    coordinator_->Work();
  }
  EXPECT_EQ(coordinator_->FindRun(run)->status, RunStatus::kCompleted);
}

TEST_F(CoordinatorWaitsTest, HearsOfARoundThatIsTriedAgainAndOfARunThatIsResumed) {
  Enrol("site-a");
  Enrol("site-b");
  v1::RunPlan plan = SmallPlan();
  plan.mutable_quorum()->set_count(2);
  plan.set_round_attempts(2);
  const std::string run = Submit(plan);
  DoNext("site-a");
  for (const std::string task : {".r1.site-b.train.a2", ".r1.site-b.train.a3"}) {
    const Assignment open = **Wait("site-b");
    ASSERT_THAT(coordinator_->Report("site-b", TaskEnded{open.task.id, TaskStatus::kFailed, "no"}),
                IsOk());
    WaitLong("site-b", heard_);
    EXPECT_FALSE(heard_.came);
    if (coordinator_->FindRun(run)->attempt == 1) {
      DoNext("site-a");
    } else {
      ASSERT_THAT(coordinator_->Resume(run), IsOk());
    }
    EXPECT_EQ(heard_.task_id, run + task);
  }
}

TEST_F(CoordinatorWaitsTest, HearsAtTheNextWorkThatASiteMaySoonMakeTheInitialModel) {
  v1::RunPlan plan = SmallPlan();
  Enrol("site-a");
  const std::string run = Submit(plan);
  WaitLong("site-b", heard_);
  Enrol("site-b");
  EXPECT_FALSE(heard_.came);
  coordinator_->Work();
  EXPECT_EQ(heard_.task_id, run + ".r0.site-b.initialise");
}

}  // namespace
}  // namespace consilium
