// Updates that a power cut or the disk took: their sites are asked again, and the model is the one
// that it would have been.

#include <gmock/gmock.h>

#include "common/base/file.h"
#include "tests/server/round/coordinator_fixture.h"

namespace consilium {
namespace {

using testing::IsOk;
using testing::StatusIs;

class CoordinatorLostTest : public CoordinatorTest {
 protected:
  // A run whose round 1 wants both sites' updates.
  void Begin() {
    v1::RunPlan plan = SmallPlan();
    plan.mutable_quorum()->set_count(2);
    run_ = Submit(plan);
    ASSERT_THAT(Do("site-a", **Wait("site-a")), IsOk());
  }
  void SetUp() override {
    CoordinatorTest::SetUp();
    Enrol("site-a");
    Enrol("site-b");
    Begin();
  }
  // As a coordinator that was started again, whose process has hashed nothing yet.
  void StartAgain() {
    coordinator_.reset();
    ASSERT_OK_AND_ASSIGN(blobs_, BlobStore::Open(folder_ / "blobs"));
    Start();
  }
  void Train(const std::string& site) { ASSERT_THAT(Do(site, **Wait(site)), IsOk()); }

  RunState Run() const { return *coordinator_->FindRun(run_); }
  std::string TaskOf(const std::string& site) const { return run_ + ".r1." + site + ".train"; }
  std::filesystem::path UpdateOf(const std::string& site) const {
    const RunState run = Run();
    const auto task = std::ranges::find(run.tasks, TaskOf(site), &TaskState::id);
    return folder_ / ("blobs/blobs/" + task->result.blob_digest);
  }
  static void Damage(const std::filesystem::path& file) {
    std::string bytes = *ReadFile(file);
    bytes.back() ^= 1;
    ASSERT_THAT(WriteFileAtomically(file, bytes), IsOk());
  }
  // The values of round 1's model.
  std::vector<float> FirstModel() const {
    const auto file = blobs_->Map(Run().models.at(1).digest);
    return DecodeModel((*file)->bytes())->state.values;
  }

  std::string run_;
};

TEST_F(CoordinatorLostTest, SiteIsAskedAgainBeforeTheRoundIsAveraged) {
  Train("site-a");
  Train("site-b");
  coordinator_->Work();
  const std::vector<float> undisturbed = FirstModel();
  ASSERT_THAT(coordinator_->Cancel(run_), IsOk());

  Begin();
  Train("site-a");
  Train("site-b");
  std::filesystem::remove(UpdateOf("site-b"));
  coordinator_->Work();
  EXPECT_EQ(Run().status, RunStatus::kTraining);
  EXPECT_EQ((*Wait("site-b"))->task.id, TaskOf("site-b"));
  Train("site-b");
  coordinator_->Work();
  EXPECT_EQ(FirstModel(), undisturbed);
  EXPECT_TRUE(Run().misses.empty());
}

TEST_F(CoordinatorLostTest, CoordinatorThatStartsLooksForThemAndAsksAtOnce) {
  Train("site-a");
  Damage(UpdateOf("site-a"));
  StartAgain();
  std::string heard;
  coordinator_->WaitForTask("site-a", clock_.Now() + std::chrono::hours(1),
                            [&](auto found) { heard = (*found)->task.id; });
  EXPECT_EQ(heard, "");
  coordinator_->Work();
  EXPECT_EQ(heard, TaskOf("site-a"));
  Train("site-a");
  Train("site-b");
  coordinator_->Work();
  EXPECT_EQ(Run().round, 2);
}

TEST_F(CoordinatorLostTest, UploadThatIsNotWhatCameIsSentAgain) {
  const Assignment assignment = **Wait("site-a");
  const std::string bytes = testing::EncodeFile(
      {testing::SmallSpec(), {.run = run_, .round = 1, .parent_digest = assignment.model->digest}},
      StateOf("site-a", assignment.task));
  const std::string digest = Sha256Of(bytes);
  ASSERT_OK_AND_ASSIGN(BlobUpload upload, blobs_->Continue(digest, assignment.task.id));
  ASSERT_THAT(upload.Append(AsBytes(bytes)), IsOk());
  ASSERT_THAT(std::move(upload).Finish(), IsOk());
  Damage(blobs_->UploadPath(digest, assignment.task.id));
  StartAgain();
  const TaskSucceeded report{assignment.task.id, {.blob_digest = digest, .train_examples = 10}};
  EXPECT_THAT(coordinator_->Report("site-a", report), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_FALSE(blobs_->HeldOf(digest, assignment.task.id).whole);
  EXPECT_THAT(DeliverFile("site-a", assignment.task, bytes), IsOk());
}

}  // namespace
}  // namespace consilium
