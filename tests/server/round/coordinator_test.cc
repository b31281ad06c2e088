// The coordinator without a network: hospitals, its worker and an admin on threads of their own, on
// a real database and blob store. Its answers must not depend on who comes first.

#include "server/round/coordinator.h"

#include <gmock/gmock.h>

#include <map>
#include <set>

#include "common/base/file.h"
#include "tests/server/round/coordinator_fixture.h"

namespace consilium {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using ::testing::SizeIs;
using testing::StatusIs;

constexpr int kRounds = 3;  // of SmallPlan

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
      EXPECT_THAT(registry_->Revoke("site-d", "boss"), IsOk());
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

TEST_F(CoordinatorTest, SiteThatStopsAdvancingIsNotWaitedFor) {
  for (const std::string site : {"site-a", "site-b"}) Enrol(site);
  const Assignment stuck = WhatIsLate(SmallPlan());
  const TaskProgress progress{.stage = TaskStage::kTraining, .done = 3, .total = 9};
  EXPECT_EQ(coordinator_->NoteProgress("site-b", stuck.task.id, progress), TaskStanding::kOpen);
  EXPECT_EQ(coordinator_->Outlooks(stuck.run_id).at(stuck.task.id).progress, progress);
  // Silent it may be for as long as the round lasts; standing still it may not.
  clock_.Advance(stuck.round_deadline / 4);
  EXPECT_EQ(coordinator_->NoteProgress("site-b", stuck.task.id, progress), TaskStanding::kOpen);
  coordinator_->Work();
  ASSERT_EQ(coordinator_->FindRun(stuck.run_id)->round, 1);
  StandStill("site-b", stuck, progress);
  coordinator_->Work();
  const RunState run = *coordinator_->FindRun(stuck.run_id);
  EXPECT_EQ(run.round, 2);
  ASSERT_THAT(run.misses, SizeIs(1));
  EXPECT_THAT(run.misses[0].reason, HasSubstr("stopped advancing: training, 3 of 9"));
  EXPECT_EQ(coordinator_->NoteProgress("site-b", stuck.task.id, progress), TaskStanding::kEnded);
  // It does not come to its next task: that is not waited for either.
  StandStill("site-b", stuck, progress);
  ASSERT_THAT(Do("site-a", **Wait("site-a")), IsOk());
  coordinator_->Work();
  EXPECT_EQ(coordinator_->FindRun(stuck.run_id)->round, 3);
}

TEST_F(CoordinatorTest, SumsOfClassCountsComeWithTheNextRound) {
  for (const std::string site : {"site-a", "site-b"}) Enrol(site);
  v1::RunPlan plan = SmallPlan();
  plan.mutable_quorum()->set_count(2);
  plan.mutable_training()->set_class_counts("federated");
  Submit(plan);
  ASSERT_THAT(Do("site-a", **Wait("site-a")), IsOk());
  const auto deliver = [&](const std::string& site, std::vector<std::uint64_t> counts) {
    const Assignment assignment = **Wait(site);
    return Deliver(site, assignment, StateOf(site, assignment.task),
                   {.train_examples = 10, .class_counts = std::move(counts)});
  };
  EXPECT_THAT((*Wait("site-a"))->class_counts, ::testing::IsEmpty());
  ASSERT_THAT(deliver("site-a", {6, 0, 4}), IsOk());
  ASSERT_THAT(deliver("site-b", {0, 5, 5}), IsOk());
  coordinator_->Work();
  EXPECT_THAT((*Wait("site-a"))->class_counts, ElementsAre(6, 5, 9));
  EXPECT_THAT(deliver("site-a", {6, 0, 5}), StatusIs(testing::kInvalid, HasSubstr("more than")));
  EXPECT_THAT(deliver("site-b", {1, 2}), StatusIs(testing::kInvalid, HasSubstr("want 3")));
}

TEST_F(CoordinatorTest, ControlVariateOfTheNewestModelIsForSites) {
  Enrol("site-a");
  v1::RunPlan plan = SmallPlan();
  plan.mutable_strategy()->set_name("scaffold");
  Submit(plan);
  const auto train = [&] {
    const Assignment assignment = **Wait("site-a");
    ASSERT_THAT(Deliver("site-a", assignment, StateOf("site-a", assignment.task),
                        {.train_examples = 10, .steps = 1}),
                IsOk());
    coordinator_->Work();
  };
  ASSERT_THAT(Do("site-a", **Wait("site-a")), IsOk());
  EXPECT_EQ((*Wait("site-a"))->control_variate, "");  // all 0
  train();
  const std::string first = (*Wait("site-a"))->control_variate;
  EXPECT_TRUE(coordinator_->IsForSites(first));
  ASSERT_OK_AND_ASSIGN(const auto blob, blobs_->Map(first));
  EXPECT_EQ(blob->bytes().size(), testing::SmallLayout()->size() * sizeof(float));
  train();
  const std::string second = (*Wait("site-a"))->control_variate;
  EXPECT_NE(second, first);
  EXPECT_FALSE(coordinator_->IsForSites(first));
  EXPECT_FALSE(coordinator_->IsForSites(""));
  // The steps say how far a gradient reached.
  const Assignment assignment = **Wait("site-a");
  EXPECT_THAT(Deliver("site-a", assignment, StateOf("site-a", assignment.task),
                      {.train_examples = 10, .steps = 7}),
              StatusIs(testing::kInvalid, HasSubstr("7 steps")));
}

TEST_F(CoordinatorTest, ProgressOfAnotherSitesTaskIsOfNoTask) {
  for (const std::string site : {"site-a", "site-b"}) Enrol(site);
  const Assignment task = WhatIsLate(SmallPlan());
  EXPECT_EQ(coordinator_->NoteProgress("site-a", task.task.id, {}), TaskStanding::kEnded);
  EXPECT_EQ(coordinator_->NoteProgress("site-a", "nope", {}), TaskStanding::kEnded);
  EXPECT_TRUE(coordinator_->Outlooks(task.run_id).empty());
}

// Of several runs it would otherwise be the oldest one's, and the site's checkpoint be lost.
TEST_F(CoordinatorTest, AfterARestartASiteGoesOnWithTheTaskThatItHolds) {
  Enrol("site-a");
  Submit();
  Submit();
  ASSERT_THAT(Do("site-a", **Wait("site-a")), IsOk());
  const std::string second = (*Wait("site-a"))->task.id;
  Start();
  EXPECT_EQ(coordinator_->NoteProgress("site-a", second, {}), TaskStanding::kOpen);
  EXPECT_EQ((*Wait("site-a"))->task.id, second);
}

// What the server's optimiser carries lies in a blob: a coordinator that starts again goes on with
// it.
TEST_F(CoordinatorTest, OptimisersMomentsOutliveARestart) {
  Enrol("site-a");
  v1::RunPlan plan = SmallPlan();
  plan.mutable_strategy()->set_name("fedadam");
  plan.mutable_strategy()->set_server_learning_rate(0.01);
  plan.mutable_strategy()->set_server_momentum(0.9);
  plan.mutable_strategy()->set_server_beta2(0.99);
  plan.mutable_strategy()->set_server_tau(1e-3);
  // Two runs of the same weights, one of them with a restart after each round.
  std::vector<std::vector<float>> ends;
  for (const bool restart : {false, true}) {
    const std::string run = Submit(plan);
    ASSERT_THAT(Do("site-a", **Wait("site-a")), IsOk());
    std::string moments;
    for (int round = 1; round <= 3; ++round) {
      ASSERT_THAT(Do("site-a", **Wait("site-a")), IsOk());
      coordinator_->Work();
      const std::string former =
          std::exchange(moments, coordinator_->FindRun(run)->models.back().moments_digest);
      EXPECT_THAT(blobs_->Map(moments), IsOk());
      EXPECT_TRUE(former.empty() || !blobs_->Map(former).ok());
      if (restart) {
        // As after a night: what no state names is swept.
        for (const auto& blob : std::filesystem::directory_iterator(folder_ / "blobs/blobs")) {
          std::filesystem::last_write_time(
              blob.path(), std::filesystem::file_time_type::clock::now() - std::chrono::hours(9));
        }
        Start();
      }
    }
    ASSERT_OK_AND_ASSIGN(const auto file,
                         blobs_->Map(coordinator_->FindRun(run)->models.back().digest));
    ends.push_back(DecodeModel(file->bytes())->state.values);
    ASSERT_THAT(Do("site-a", **Wait("site-a")), IsOk());  // the last evaluation
  }
  EXPECT_EQ(ends[0], ends[1]);
}

TEST_F(CoordinatorTest, StepsThatThePlanDoesNotAskForAreRefusedWhereTheyCount) {
  Enrol("site-a");
  v1::RunPlan plan = SmallPlan();
  plan.mutable_strategy()->set_name("fednova");
  plan.mutable_training()->set_batch_size(4);  // 10 examples: 3 steps
  plan.mutable_training()->set_local_epochs(2);
  const std::string run = Submit(plan);
  ASSERT_THAT(Do("site-a", **Wait("site-a")), IsOk());
  EXPECT_THAT(Do("site-a", **Wait("site-a")),
              StatusIs(testing::kInvalid, HasSubstr("0 steps on 10 examples, want 6")));
}

// Two sites with as many examples, of which one says that it took three times the steps.
TEST_F(CoordinatorTest, FedNovaAveragesWhatAStepChanges) {
  Enrol("site-a");
  Enrol("site-b");
  v1::RunPlan plan = SmallPlan();
  plan.mutable_strategy()->set_name("fednova");
  plan.mutable_training()->set_momentum(0);
  plan.mutable_training()->set_batch_size(10);
  plan.mutable_training()->set_local_epochs(3);
  const std::string run = Submit(plan);
  ASSERT_THAT(Do("site-a", **Wait("site-a")), IsOk());
  const auto deliver = [&](const std::string& site, std::uint64_t examples, float change) {
    const Assignment assignment = **Wait(site);
    ModelState state = StateOf("site-a", {.round = 0});
    for (float& value : state.values) value += change;
    return Deliver(site, assignment, state,
                   {.train_examples = examples, .steps = examples * 3 / 10});
  };
  ASSERT_THAT(deliver("site-a", 10, 0.25F), IsOk());  // in 3 steps
  ASSERT_THAT(deliver("site-b", 30, 0.5F), IsOk());   // in 9
  coordinator_->Work();
  ASSERT_OK_AND_ASSIGN(const auto file,
                       blobs_->Map(coordinator_->FindRun(run)->models.back().digest));
  const Model model = *DecodeModel(file->bytes());
  const ModelState start = StateOf("site-a", {.round = 0});
  // tau_eff = (10 * 3 + 30 * 9) / 40 = 7.5 steps, each of (10 * 0.25 / 3 + 30 * 0.5 / 9) / 40.
  EXPECT_NEAR(model.state.values[0] - start.values[0], 7.5 * (2.5 / 3 + 15.0 / 9) / 40, 1e-5);
}

TEST_F(CoordinatorTest, OneWrongUpdateLeadsNeitherTheMedianNorKrumAway) {
  for (const std::string site : {"site-a", "site-b", "site-c"}) Enrol(site);
  for (const std::string name : {"fedavg", "median", "krum"}) {
    v1::RunPlan plan = SmallPlan();
    plan.mutable_strategy()->set_name(name);
    plan.mutable_admission()->clear_max_norm_ratio();  // which would see it, too
    const std::string run = Submit(plan);
    ASSERT_THAT(Do("site-a", **Wait("site-a")), IsOk());
    for (const auto& [site, change, examples] :
         {std::tuple("site-a", 0.25F, 10), {"site-b", 0.5F, 10}, {"site-c", -1000.0F, 100'000}}) {
      const Assignment assignment = **Wait(site);
      ModelState state = StateOf("site-a", {.round = 0});
      for (float& value : state.values) value += change;
      ASSERT_THAT(Deliver(site, assignment, state,
                          {.train_examples = static_cast<std::uint64_t>(examples)}),
                  IsOk());
    }
    coordinator_->Work();
    ASSERT_OK_AND_ASSIGN(const auto file,
                         blobs_->Map(coordinator_->FindRun(run)->models.back().digest));
    const Model model = *DecodeModel(file->bytes());
    const float change = model.state.values[0] - StateOf("site-a", {.round = 0}).values[0];
    if (name == "fedavg") {
      EXPECT_LT(change, -900);
    } else {
      EXPECT_NEAR(change, 0.25, 1e-5) << name;
    }
    ASSERT_OK_AND_ASSIGN(const std::string trail, ReadFile(folder_ / kTrailFile));
    EXPECT_EQ(trail.find("\"update_chosen\"") != std::string::npos, name == "krum");
    ASSERT_THAT(coordinator_->Cancel(run), IsOk());
  }
}

TEST_F(CoordinatorTest, UpdateThatWasInspectedAsItCameIsNotReadAgain) {
  Enrol("site-a");
  const std::string run = Submit();
  ASSERT_THAT(Do("site-a", **Wait("site-a")), IsOk());
  const Assignment assignment = **Wait("site-a");
  const std::string bytes = testing::EncodeFile(
      {testing::SmallSpec(), {.run = run, .round = 1, .parent_digest = assignment.model->digest}},
      StateOf("site-a", assignment.task));
  EXPECT_EQ(coordinator_->WatchUpload("no.such.task", Sha256Of(bytes), bytes.size()), nullptr);
  EXPECT_NE(coordinator_->WatchUpload(assignment.task.id, "", 1000), nullptr);
  const auto watched = coordinator_->WatchUpload(assignment.task.id, Sha256Of(bytes), bytes.size());
  ASSERT_NE(watched, nullptr);
  watched->Append(AsBytes(bytes).first(100));
  watched->Append(AsBytes(bytes).subspan(100));
  watched->Finish();
  EXPECT_NE(coordinator_->WatchUpload(assignment.task.id, "", 1000), nullptr);
  EXPECT_EQ(coordinator_->WatchUpload(assignment.task.id, "", 1000), nullptr) << "too often";
  // Without the model that it would be measured from.
  std::filesystem::rename(folder_ / ("blobs/blobs/" + assignment.model->digest),
                          folder_ / "elsewhere");
  EXPECT_THAT(DeliverFile("site-a", assignment.task, bytes + " "),
              ::testing::Not(IsOk()));  // of which nothing is known
  ASSERT_THAT(DeliverFile("site-a", assignment.task, bytes), IsOk());
  std::filesystem::rename(folder_ / "elsewhere",
                          folder_ / ("blobs/blobs/" + assignment.model->digest));
  ASSERT_OK_AND_ASSIGN(const auto base, blobs_->Map(assignment.model->digest));
  const ModelState before = DecodeModel(base->bytes())->state;
  const auto tasks = coordinator_->FindRun(run)->tasks;
  const auto task = std::ranges::find(tasks, assignment.task.id, &TaskState::id);
  EXPECT_EQ(task->result.update_norm,
            NormOfChange(*before.layout, before.values, StateOf("site-a", assignment.task).values));
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
