// The coordinator without a network: hospitals, its worker and an admin on threads of their own, on
// a real database and blob store. Its answers must not depend on who comes first.

#include "server/round/coordinator.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <future>
#include <map>
#include <set>
#include <thread>

#include "common/config/plan.h"
#include "common/wire/convert.h"
#include "tests/testing/small_model.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using ::testing::SizeIs;
using testing::StatusIs;

constexpr int kRounds = 3;

class CoordinatorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(store_, Store::Open(folder_ / "db"));
    ASSERT_OK_AND_ASSIGN(Authority authority,
                         Authority::Create(folder_ / "ca", "lungs", clock_.Now()));
    registry_.emplace(*store_, clock_, std::move(authority), "lungs");
    ASSERT_OK_AND_ASSIGN(blobs_, BlobStore::Open(folder_ / "blobs"));
    ASSERT_OK_AND_ASSIGN(coordinator_, Coordinator::Create(*store_, *blobs_, *registry_, clock_));
  }

  void Enrol(const std::string& site) {
    ASSERT_THAT(store_->AddToken({.hash = site, .site = site, .expires = clock_.Now()}), IsOk());
    ASSERT_THAT(store_->Enrol(site, {.name = site, .joined = clock_.Now()}), IsOk());
  }

  static v1::RunPlan SmallPlan() {
    v1::RunPlan plan = DefaultPlan();
    plan.set_rounds(kRounds);
    plan.mutable_quorum()->set_count(1);
    *plan.mutable_model() = ToProto(testing::SmallSpec());
    return plan;
  }
  std::string Submit(const v1::RunPlan& plan = SmallPlan()) {
    const auto run = coordinator_->Submit(plan.SerializeAsString(), "", "");
    EXPECT_THAT(run, IsOk());
    return run.value_or("");
  }

  // Submits a plan that site-a does up to its first round, and gives site-b's task of that round.
  Assignment WhatIsLate(const v1::RunPlan& plan) {
    Submit(plan);
    EXPECT_THAT(Do("site-a", **Wait("site-a")), IsOk());
    const Assignment late = **Wait("site-b");
    EXPECT_THAT(Do("site-a", **Wait("site-a")), IsOk());
    return late;
  }

  // Waits as a hospital's call does.
  StatusOr<std::optional<Assignment>> Wait(const std::string& site) {
    std::promise<StatusOr<std::optional<Assignment>>> answer;
    coordinator_->WaitForTask(site, clock_.Now() + std::chrono::milliseconds(50),
                              [&](auto found) { answer.set_value(std::move(found)); });
    return answer.get_future().get();
  }

  // Weights that the task's site and round decide.
  static ModelState StateOf(const std::string& site, const TaskState& task) {
    return testing::RandomState(
        testing::SmallLayout(),
        static_cast<std::uint64_t>(site.back()) * 100 + static_cast<std::uint64_t>(task.round));
  }

  // Does a task as a hospital would, with these weights as its result, and reports it.
  Status Do(const std::string& site, const Assignment& assignment) {
    return Deliver(site, assignment, StateOf(site, assignment.task));
  }
  Status Deliver(const std::string& site, const Assignment& assignment, const ModelState& state) {
    const TaskState& task = assignment.task;
    TaskResult result;
    if (task.kind != TaskKind::kEvaluate) {
      Provenance provenance{.run = assignment.run_id, .round = task.round};
      if (assignment.model) provenance.parent_digest = assignment.model->digest;
      const std::string bytes = testing::EncodeFile({testing::SmallSpec(), provenance}, state);
      CSL_RETURN_IF_ERROR(coordinator_->CheckUpload(site, task.id, bytes.size()));
      result.blob_digest = Sha256Of(bytes);
      CSL_ASSIGN_OR_RETURN(BlobUpload upload, blobs_->Continue(result.blob_digest, task.id));
      CSL_RETURN_IF_ERROR(upload.Append(AsBytes(bytes)));
      CSL_RETURN_IF_ERROR(std::move(upload).Finish());
      result.train_examples = 10;
    }
    return coordinator_->Report(site, TaskSucceeded{task.id, result}).status();
  }

  // A hospital, until it is stopped. A task that ended meanwhile is no error.
  std::jthread Hospital(const std::string& site) {
    return std::jthread([this, site](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        const auto assignment = Wait(site);
        ASSERT_THAT(assignment, IsOk());
        if (!*assignment) continue;
        const Status done = Do(site, **assignment);
        // The run may be cancelled, and its leftovers swept, at any moment.
        EXPECT_TRUE(done.ok() || absl::IsPermissionDenied(done) || absl::IsNotFound(done) ||
                    absl::IsDataLoss(done))
            << done;
      }
    });
  }
  std::jthread Worker() {
    return std::jthread([this](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        coordinator_->WaitForWork(std::chrono::milliseconds(5));
        coordinator_->Work();
      }
    });
  }

  RunState WaitForEnd(const std::string& run) {
    for (;;) {
      const RunState state = *coordinator_->FindRun(run);
      if (IsFinal(state.status)) return state;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }

  testing::TempFolder folder_;
  SystemClock clock_;
  std::unique_ptr<Store> store_;
  std::optional<Registry> registry_;
  std::optional<BlobStore> blobs_;
  std::unique_ptr<Coordinator> coordinator_;
};

TEST_F(CoordinatorTest, RunsOfManySitesEndWhileOthersAreCancelledAndSitesRevoked) {
  const std::vector<std::string> sites = {"site-a", "site-b", "site-c", "site-d"};
  for (const std::string& site : sites) Enrol(site);
  std::jthread worker = Worker();
  std::vector<std::jthread> hospitals;
  for (const std::string& site : sites) hospitals.push_back(Hospital(site));

  std::vector<std::string> kept;
  for (int i = 0; i < 4; ++i) {
    kept.push_back(Submit());
    const std::string cancelled = Submit();
    EXPECT_THAT(coordinator_->Cancel(cancelled), IsOk());
    EXPECT_EQ(WaitForEnd(cancelled).status, RunStatus::kCancelled);
    if (i == 2) {
      EXPECT_THAT(registry_->Revoke("site-d"), IsOk());
      EXPECT_THAT(coordinator_->EndTasksOf("site-d"), IsOk());
    }
  }
  for (const std::string& run : kept) {
    const RunState state = WaitForEnd(run);
    EXPECT_TRUE(state.status == RunStatus::kCompleted || state.status == RunStatus::kDegraded)
        << state.reason;
    EXPECT_THAT(state.models, SizeIs(kRounds + 1));
    EXPECT_TRUE(blobs_->Has(state.models.back().digest));
  }
  // What is in memory is what is in the database.
  hospitals.clear();  // first: it is the worker that ends their waits
  worker.request_stop();
  worker.join();
  EXPECT_EQ(*store_->LoadRuns(), coordinator_->Runs());
}

// Values whose sum depends on its order: 1 vanishes beside 3e38, unless that has gone before.
TEST_F(CoordinatorTest, WhoReportsFirstChangesNoBitOfTheModel) {
  const std::map<std::string, float> values = {
      {"site-a", 3e38F}, {"site-b", 1}, {"site-c", -3e38F}};
  for (const auto& [site, value] : values) Enrol(site);
  std::vector<std::string> order = {"site-a", "site-b", "site-c"};
  std::set<float> averages;
  do {
    const std::string run = Submit();
    ASSERT_THAT(Do("site-a", **Wait("site-a")), IsOk());
    for (const std::string& site : order) {
      ModelState state(testing::SmallLayout());
      std::fill(state.values.begin(), state.values.end(), values.at(site));
      ASSERT_THAT(Deliver(site, **Wait(site), state), IsOk());
    }
    coordinator_->Work();
    const RunState state = *coordinator_->FindRun(run);
    ASSERT_THAT(state.models, SizeIs(2)) << state.reason;
    ASSERT_OK_AND_ASSIGN(const auto file, blobs_->Map(state.models.back().digest));
    ASSERT_OK_AND_ASSIGN(const Model model, DecodeModel(file->bytes()));
    averages.insert(model.state.values[0]);
    ASSERT_THAT(coordinator_->Cancel(run), IsOk());
  } while (std::next_permutation(order.begin(), order.end()));
  EXPECT_THAT(averages, ElementsAre(0.0F));  // (3e38 + 1) - 3e38: in the order of the sites' names
}

TEST_F(CoordinatorTest, PlanOfASiteThatNeverJoinedIsRefused) {
  Enrol("site-a");
  v1::RunPlan plan = SmallPlan();
  plan.add_sites("site-a");
  plan.add_sites("stie-b");
  EXPECT_THAT(coordinator_->Submit(plan.SerializeAsString(), "", ""),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("'stie-b'")));
}

TEST_F(CoordinatorTest, SeveralRunsTakeTurnsAndABegunTaskGoesFirst) {
  Enrol("site-a");
  const std::string first = Submit();
  const std::string second = Submit();
  std::vector<std::string> order;
  for (int i = 0; i < 6; ++i) {
    const auto assignment = Wait("site-a");
    EXPECT_EQ((*Wait("site-a"))->task.id, (*assignment)->task.id);  // until it is reported
    order.push_back((*assignment)->run_id);
    ASSERT_THAT(Do("site-a", **assignment), IsOk());
    coordinator_->Work();
  }
  EXPECT_THAT(order, ElementsAre(first, second, first, second, first, second));
}

TEST_F(CoordinatorTest, LateUpdateCountsInTheNextRoundIfThePlanSaysSo) {
  for (const std::string site : {"site-a", "site-b"}) Enrol(site);
  v1::RunPlan plan = SmallPlan();
  plan.set_late_updates("next_round");
  plan.set_round_deadline_seconds(1);
  const Assignment late = WhatIsLate(plan);
  const std::string& run = late.run_id;
  std::this_thread::sleep_until(late.deadline);
  coordinator_->Work();
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
TEST_F(CoordinatorTest, LateUpdateCountsOnce) {
  for (const std::string site : {"site-a", "site-b"}) Enrol(site);
  v1::RunPlan plan = SmallPlan();
  plan.mutable_quorum()->set_count(2);
  plan.set_late_updates("next_round");
  plan.set_round_deadline_seconds(1);
  const Assignment late = WhatIsLate(plan);
  const std::string& run = late.run_id;
  std::this_thread::sleep_until(late.deadline);
  coordinator_->Work();
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

TEST_F(CoordinatorTest, LateUpdateIsAskedToWaitBetweenTwoRounds) {
  for (const std::string site : {"site-a", "site-b"}) Enrol(site);
  v1::RunPlan plan = SmallPlan();
  plan.set_late_updates("next_round");
  plan.set_round_deadline_seconds(1);
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

TEST_F(CoordinatorTest, LateUpdateIsDroppedOtherwise) {
  for (const std::string site : {"site-a", "site-b"}) Enrol(site);
  v1::RunPlan plan = SmallPlan();
  plan.set_round_deadline_seconds(1);
  const Assignment late = WhatIsLate(plan);
  const std::string& run = late.run_id;
  std::this_thread::sleep_until(late.deadline);
  coordinator_->Work();
  EXPECT_THAT(Do("site-b", late), StatusIs(absl::StatusCode::kPermissionDenied));  // no upload
  const auto note = coordinator_->Report("site-b", TaskSucceeded{late.task.id, {}});
  ASSERT_THAT(note, IsOk());
  EXPECT_THAT(*note, HasSubstr("the deadline passed"));
  EXPECT_EQ(coordinator_->FindRun(run)->misses.size(), 1U);
}

TEST_F(CoordinatorTest, LateUpdateCountsForTheSameRoundWhileThatIsTriedAgain) {
  for (const std::string site : {"site-a", "site-b"}) Enrol(site);
  v1::RunPlan plan = SmallPlan();
  plan.mutable_quorum()->set_count(2);
  plan.set_round_deadline_seconds(1);
  const Assignment late = WhatIsLate(plan);
  const std::string& run = late.run_id;
  std::this_thread::sleep_until(late.deadline);
  coordinator_->Work();
  ASSERT_EQ(coordinator_->FindRun(run)->attempt, 2);
  EXPECT_THAT(Do("site-b", late), IsOk());
  EXPECT_EQ(coordinator_->FindRun(run)->status, RunStatus::kAggregating);
}

TEST_F(CoordinatorTest, PauseAndResumeSayWhereTheyHaveNoUse) {
  Enrol("site-a");
  const std::string run = Submit();
  EXPECT_THAT(coordinator_->Resume(run), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(coordinator_->Pause(run), IsOk());
  EXPECT_THAT(coordinator_->Resume(run), IsOk());
  EXPECT_THAT(coordinator_->Cancel(run), IsOk());
  EXPECT_THAT(coordinator_->Pause(run),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("CANCELLED")));
  EXPECT_THAT(coordinator_->Pause("nope"), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(CoordinatorTest, AnotherSitesTaskIsNotToBeReported) {
  for (const std::string site : {"site-a", "site-b"}) Enrol(site);
  Submit();
  const auto assignment = Wait("site-a");
  ASSERT_THAT(assignment, IsOk());
  EXPECT_THAT(coordinator_->Report("site-b", TaskEnded{(*assignment)->task.id}),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("not of site 'site-b'")));
}

TEST_F(CoordinatorTest, WaitThatWasStoppedIsNotAnswered) {
  Enrol("site-a");
  bool answered = false;
  const auto id = coordinator_->WaitForTask("site-a", clock_.Now() + std::chrono::hours(1),
                                            [&](const auto&) { answered = true; });
  EXPECT_TRUE(coordinator_->StopWaiting(id));
  EXPECT_FALSE(coordinator_->StopWaiting(id));
  Submit();
  coordinator_->Work();
  EXPECT_FALSE(answered);
}

}  // namespace
}  // namespace consilium
