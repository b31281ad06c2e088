// Runs that follow a higher coordinator's, on a real database and blob store.

#include "server/admission/admission.h"
#include "tests/server/round/coordinator_fixture.h"

namespace consilium {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;
using ::testing::UnorderedElementsAre;

constexpr char kRun[] = "run-of-the-higher";

class CoordinatorFollowTest : public CoordinatorTest {
 protected:
  void SetUp() override {
    CoordinatorTest::SetUp();
    Enrol("site-a");
    Enrol("site-b");
  }

  // A global model as it comes down.
  ModelVersion Given(int round) {
    const std::string bytes = testing::EncodeFile(
        {testing::SmallSpec(), {.run = kRun, .round = round}},
        testing::RandomState(testing::SmallLayout(), static_cast<std::uint64_t>(round) + 1000));
    ModelVersion model{.round = round, .digest = Sha256Of(bytes), .bytes = bytes.size()};
    auto upload = *blobs_->Continue(model.digest, kHigherCoordinator);
    EXPECT_THAT(upload.Append(AsBytes(bytes)), IsOk());
    EXPECT_THAT(std::move(upload).Finish(), IsOk());
    return model;
  }
  Status Follow(const std::optional<ModelVersion>& model, const std::string& run = kRun) {
    std::optional<ModelGiven> given;
    if (model) given = {*model, clock_.Now() + std::chrono::hours(1)};
    return coordinator_->Follow(run, SmallPlan().SerializeAsString(), given);
  }
  void DoRound() {
    for (const std::string site : {"site-a", "site-b"}) {
      ASSERT_THAT(Do(site, **Wait(site)), IsOk());
    }
    coordinator_->Work();
  }
};

TEST_F(CoordinatorFollowTest, WhatTheSitesMadeIsAnUpdateOfTheHigherRun) {
  const ModelVersion base = Given(0);
  ASSERT_THAT(Follow(base), IsOk());
  EXPECT_EQ((*Wait("site-a"))->model->digest, base.digest);
  DoRound();
  ASSERT_OK_AND_ASSIGN(const RunState run, coordinator_->FindRun(kRun));
  ASSERT_EQ(run.status, RunStatus::kAwaitingModel);
  ASSERT_OK_AND_ASSIGN(const auto update, blobs_->Map(run.regional.digest));
  ASSERT_OK_AND_ASSIGN(const auto base_file, blobs_->Map(base.digest));
  EXPECT_THAT(CheckUpdate(update->bytes(), base_file->bytes(),
                          {.run = kRun, .round = 1, .base_digest = base.digest, .rounds = 3}, 0),
              IsOk());
  // The hospitals' own updates are used up.
  ASSERT_OK_AND_ASSIGN(const auto blobs, blobs_->List());
  std::vector<std::string> digests;
  for (const auto& blob : blobs) digests.push_back(blob.file);
  EXPECT_THAT(digests, UnorderedElementsAre(base.digest, run.regional.digest));

  ASSERT_THAT(Follow(Given(1)), IsOk());
  EXPECT_EQ((*Wait("site-b"))->task.round, 2);
}

TEST_F(CoordinatorFollowTest, GoesOnAfterARestart) {
  ASSERT_THAT(Follow(Given(0)), IsOk());
  ASSERT_THAT(Do("site-a", **Wait("site-a")), IsOk());
  Start();
  ASSERT_THAT(Follow(Given(0)), IsOk());  // the task came again
  ASSERT_THAT(Do("site-b", **Wait("site-b")), IsOk());
  coordinator_->Work();
  ASSERT_OK_AND_ASSIGN(const RunState before, coordinator_->FindRun(kRun));
  EXPECT_FALSE(before.regional.digest.empty());
  Start();
  ASSERT_OK_AND_ASSIGN(const RunState after, coordinator_->FindRun(kRun));
  EXPECT_EQ(after, before);
  EXPECT_TRUE(blobs_->Has(after.regional.digest));
}

TEST_F(CoordinatorFollowTest, RoundThatIsNotWantedEndsItsTasks) {
  ASSERT_THAT(Follow(Given(0)), IsOk());
  const Assignment task = **Wait("site-a");
  ASSERT_THAT(coordinator_->EndRound(kRun, 1), IsOk());
  EXPECT_EQ(coordinator_->NoteProgress("site-a", task.task.id, {}), TaskStanding::kEnded);
  ASSERT_OK_AND_ASSIGN(const RunState run, coordinator_->FindRun(kRun));
  for (const TaskState& ended : run.tasks) EXPECT_EQ(ended.status, TaskStatus::kMissed);
}

TEST_F(CoordinatorFollowTest, SaysWhatCannotBeFollowed) {
  EXPECT_THAT(Follow(ModelVersion{0, std::string(64, 'a'), 10}),
              StatusIs(absl::StatusCode::kNotFound));
  const std::string own = Submit();
  EXPECT_THAT(Follow(Given(0), own),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("coordinator's own")));
  ASSERT_THAT(Follow(Given(0)), IsOk());
  EXPECT_THAT(coordinator_->Pause(kRun),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("higher coordinator")));
}

TEST_F(CoordinatorFollowTest, BeginsLateAndKnowsWhatItKnowsOfTheModel) {
  const ModelVersion model = Given(2);
  ASSERT_THAT(Follow(ModelVersion{2, model.digest, 1}), IsOk());  // whatever size is claimed
  EXPECT_EQ((*Wait("site-a"))->task.round, 3);
  ASSERT_OK_AND_ASSIGN(const ModelRecord record, coordinator_->FindModel(kRun, 2));
  EXPECT_EQ(record.version, model);
  EXPECT_EQ(record.parent_digest, "");
  EXPECT_THAT(Follow(Given(1)),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("gone back")));
}

TEST_F(CoordinatorFollowTest, RunsNameIsAName) {
  for (const std::string name : {"../../run", "/run", "", "run\n1"}) {
    EXPECT_THAT(Follow(Given(0), name), StatusIs(absl::StatusCode::kInvalidArgument)) << name;
  }
}

TEST_F(CoordinatorFollowTest, TrailSaysWhatCameDownAndWhatGoesUp) {
  const ModelVersion base = Given(0);
  ASSERT_THAT(Follow(base), IsOk());
  DoRound();
  ASSERT_OK_AND_ASSIGN(const std::string text, ReadFile(folder_ / kTrailFile));
  EXPECT_THAT(text, HasSubstr("\"model_given\""));
  EXPECT_THAT(text, HasSubstr("\"regional_update\""));
  EXPECT_THAT(text, HasSubstr(coordinator_->FindRun(kRun)->regional.digest));
}

TEST_F(CoordinatorFollowTest, AwaitChangeGivesTheStateOnceItIsAnother) {
  ASSERT_THAT(Follow(Given(0)), IsOk());
  ASSERT_OK_AND_ASSIGN(const RunState first, coordinator_->AwaitChange(kRun, {}, {}));
  ASSERT_OK_AND_ASSIGN(const RunState same,
                       coordinator_->AwaitChange(kRun, first, std::chrono::milliseconds(1)));
  EXPECT_EQ(same, first);
  const std::jthread sites([&] { DoRound(); });
  ASSERT_OK_AND_ASSIGN(const RunState later,
                       coordinator_->AwaitChange(kRun, first, std::chrono::minutes(1)));
  EXPECT_NE(later, first);
  EXPECT_THAT(coordinator_->AwaitChange("run-none", {}, {}), StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace consilium
