#pragma once

// A coordinator without a network, on a real database and blob store, and hospitals that do their
// tasks with made-up weights.

#include <gmock/gmock.h>

#include <algorithm>
#include <future>
#include <optional>
#include <string>
#include <thread>

#include "common/config/plan.h"
#include "common/wire/convert.h"
#include "server/round/coordinator.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/small_model.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {

class CoordinatorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(trail_, AuditTrail::Open(folder_ / kTrailFile, clock_));
    ASSERT_OK_AND_ASSIGN(store_, Store::Open(folder_ / "db"));
    ASSERT_OK_AND_ASSIGN(Authority authority,
                         Authority::Create(folder_ / "ca", "lungs", clock_.Now()));
    registry_.emplace(*store_, *trail_, clock_, std::move(authority), "lungs");
    ASSERT_OK_AND_ASSIGN(blobs_, BlobStore::Open(folder_ / "blobs"));
    Start();
  }
  // Once more: as a coordinator that was started again.
  void Start() {
    ASSERT_OK_AND_ASSIGN(coordinator_,
                         Coordinator::Create(*store_, *blobs_, *registry_, *trail_, clock_));
  }

  void Enrol(const std::string& site) {
    ASSERT_THAT(store_->Enrol({.name = site, .joined = clock_.Now()},
                              {.serial = site,
                               .member = site,
                               .issued = clock_.Now(),
                               .expires = clock_.Now() + std::chrono::days(365)}),
                testing::IsOk());
  }

  static v1::RunPlan SmallPlan() {
    v1::RunPlan plan = DefaultPlan();
    plan.set_rounds(3);
    plan.mutable_quorum()->set_count(1);
    *plan.mutable_model() = ToProto(testing::SmallSpec());
    return plan;
  }
  std::string Submit(const v1::RunPlan& plan = SmallPlan()) {
    const auto run = coordinator_->Submit(plan.SerializeAsString(), "", "");
    EXPECT_THAT(run, testing::IsOk());
    return run.value_or("");
  }

  // Submits a plan that site-a does up to its first round, and gives site-b's task of that round.
  Assignment WhatIsLate(const v1::RunPlan& plan) {
    Submit(plan);
    EXPECT_THAT(Do("site-a", **Wait("site-a")), testing::IsOk());
    const Assignment late = **Wait("site-b");
    EXPECT_THAT(Do("site-a", **Wait("site-a")), testing::IsOk());
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
  Status Deliver(const std::string& site, const Assignment& assignment, const ModelState& state,
                 TaskResult result = {.train_examples = 10}) {
    const TaskState& task = assignment.task;
    if (task.kind != TaskKind::kEvaluate) {
      Provenance provenance{.run = assignment.run_id, .round = task.round};
      if (assignment.model) provenance.parent_digest = assignment.model->digest;
      const std::string bytes = testing::EncodeFile({testing::SmallSpec(), provenance}, state);
      return DeliverFile(site, task, bytes, std::move(result));
    }
    return coordinator_->Report(site, TaskSucceeded{task.id, result}).status();
  }
  Status DeliverFile(const std::string& site, const TaskState& task, std::string_view bytes,
                     TaskResult result = {.train_examples = 10}) {
    CSL_RETURN_IF_ERROR(coordinator_->CheckUpload(site, task.id, bytes.size()));
    result.blob_digest = Sha256Of(bytes);
    CSL_ASSIGN_OR_RETURN(BlobUpload upload, blobs_->Continue(result.blob_digest, task.id));
    CSL_RETURN_IF_ERROR(upload.Append(AsBytes(bytes)));
    CSL_RETURN_IF_ERROR(std::move(upload).Finish());
    return coordinator_->Report(site, TaskSucceeded{task.id, result}).status();
  }

  // A hospital, until it is stopped. A task that ended meanwhile is no error.
  std::jthread Hospital(const std::string& site) {
    return std::jthread([this, site](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        const auto assignment = Wait(site);
        ASSERT_THAT(assignment, testing::IsOk());
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

  // A site that speaks of its task and does not advance, for longer than anybody waits.
  void StandStill(const std::string& site, const Assignment& assignment,
                  const TaskProgress& progress) {
    const std::chrono::milliseconds interval = ProgressInterval(assignment.round_deadline);
    for (auto time = interval * 0; time <= assignment.round_deadline / 10; time += interval) {
      clock_.Advance(interval);
      coordinator_->NoteProgress(site, assignment.task.id, progress);
    }
  }

  // Puts the time past every round's deadline.
  void PassDeadline() {
    clock_.Advance(std::chrono::seconds(DefaultPlan().round_deadline_seconds()));
    coordinator_->Work();
  }

  RunState WaitForEnd(const std::string& run) {
    for (;;) {
      const RunState state = *coordinator_->FindRun(run);
      if (IsFinal(state.status)) return state;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }

  testing::TempFolder folder_;
  testing::ShiftedClock clock_;
  std::unique_ptr<AuditTrail> trail_;
  std::unique_ptr<Store> store_;
  std::optional<Registry> registry_;
  std::optional<BlobStore> blobs_;
  std::unique_ptr<Coordinator> coordinator_;
};

}  // namespace consilium
