#include "client/session/task_store.h"

#include <gmock/gmock.h>

#include "common/base/file.h"
#include "common/crypto/digest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using testing::IsOk;

class TaskStoreTest : public ::testing::Test {
 protected:
  TaskStoreTest() {
    key_.set_task_id("run-1.r1.north.train");
    key_.set_model_digest("m");
    key_.set_plan_digest("p");
    key_.add_class_counts(3);
    state_.network = {0.5F, -1, 3};
    state_.optimizer = {1, 2, 3};
    state_.average = {4, 5};
    state_.random = {7, 8};
    state_.epochs = 1;
    state_.batches = 2;
    state_.steps_at_epoch_start = 4;
    state_.report = {.steps = 6, .examples = 48, .loss = 5.5, .seconds = 2, .waiting_seconds = 1};
    evaluation_.Add(std::vector<float>{0.7F, 0.2F, 0.1F}, 0, 0.36);
  }

  testing::TempFolder folder_;
  TaskStore store_{folder_ / "work"};
  v1::TaskKey key_;
  TrainState state_;
  Evaluation evaluation_{3};
};

TEST_F(TaskStoreTest, CheckpointComesBackWhole) {
  EXPECT_FALSE(store_.FindCheckpoint(key_));
  ASSERT_THAT(store_.KeepCheckpoint(key_, evaluation_, state_), IsOk());
  const auto found = store_.FindCheckpoint(key_);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->state.network, state_.network);
  EXPECT_EQ(found->evaluation, evaluation_);
  EXPECT_EQ(found->state.optimizer, state_.optimizer);
  EXPECT_EQ(found->state.average, state_.average);
  EXPECT_EQ(found->state.random, state_.random);
  EXPECT_EQ(found->state.epochs, 1U);
  EXPECT_EQ(found->state.batches, 2U);
  EXPECT_EQ(found->state.steps_at_epoch_start, 4U);
  EXPECT_EQ(found->state.report.steps, 6U);
  EXPECT_EQ(found->state.report.examples, 48U);
  EXPECT_EQ(found->state.report.loss, 5.5);
  store_.Clear();
  EXPECT_FALSE(store_.FindCheckpoint(key_));
}

TEST_F(TaskStoreTest, AnotherTaskPlanModelOrOtherImagesFindNothing) {
  ASSERT_THAT(store_.KeepCheckpoint(key_, evaluation_, state_), IsOk());
  for (const auto& change : std::vector<std::function<void(v1::TaskKey&)>>{
           [](v1::TaskKey& key) { key.set_task_id("run-1.r2.north.train"); },
           [](v1::TaskKey& key) { key.set_model_digest("other"); },
           [](v1::TaskKey& key) { key.set_plan_digest("other"); },
           [](v1::TaskKey& key) { key.set_class_counts(0, 4); },
           [](v1::TaskKey& key) { key.set_device("cuda"); },
           [](v1::TaskKey& key) { key.add_class_counts(1); }}) {
    v1::TaskKey other = key_;
    change(other);
    EXPECT_FALSE(store_.FindCheckpoint(other)) << other.ShortDebugString();
  }
}

TEST_F(TaskStoreTest, DamagedFilesCountAsNone) {
  const std::string update = "an update";
  v1::TaskResult result;
  result.set_blob_digest(Sha256Of(update));
  ASSERT_THAT(store_.KeepCheckpoint(key_, evaluation_, state_), IsOk());
  ASSERT_THAT(store_.KeepFinished({key_, result, update}), IsOk());
  for (const std::string name : {"work/checkpoint", "work/finished"}) {
    const std::string bytes = *ReadFile(folder_ / name);
    for (std::size_t size = 0; size < bytes.size(); size += 11) {
      ASSERT_THAT(WriteFileAtomically(folder_ / name, bytes.substr(0, size)), IsOk());
      EXPECT_FALSE(store_.FindCheckpoint(key_) && name == "work/checkpoint");
      EXPECT_FALSE(store_.FindFinished(key_) && name == "work/finished");
    }
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      std::string flipped = bytes;
      flipped[at] ^= 1;
      ASSERT_THAT(WriteFileAtomically(folder_ / name, flipped), IsOk());
      EXPECT_FALSE(store_.FindCheckpoint(key_) && name == "work/checkpoint") << at;
      EXPECT_FALSE(store_.FindFinished(key_) && name == "work/finished") << at;
    }
  }
}

TEST_F(TaskStoreTest, WhatAProcessWasWritingWhenItDiedIsRemoved) {
  ASSERT_THAT(store_.KeepCheckpoint(key_, evaluation_, state_), IsOk());
  ASSERT_THAT(WriteFileAtomically(folder_ / "work/.checkpoint.123.4.tmp", "half"), IsOk());
  const TaskStore again(folder_ / "work");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "work/.checkpoint.123.4.tmp"));
  EXPECT_TRUE(again.FindCheckpoint(key_));
}

TEST_F(TaskStoreTest, FinishedTaskIsFoundWhateverTheImagesAreNow) {
  const std::string update = "an update";
  v1::TaskResult result;
  result.set_blob_digest(Sha256Of(update));
  result.set_train_examples(5);
  ASSERT_THAT(store_.KeepFinished({key_, result, update}), IsOk());
  v1::TaskKey now = key_;
  now.clear_class_counts();
  const auto found = store_.FindFinished(now);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->update, update);
  EXPECT_EQ(found->result.train_examples(), 5U);
  now.set_task_id("other");
  EXPECT_FALSE(store_.FindFinished(now));
}

TEST_F(TaskStoreTest, DeliveredTaskIsFoundUntilTheNextIsDelivered) {
  ASSERT_THAT(store_.KeepFinished({key_, {}, "first"}), IsOk());
  store_.Clear();
  EXPECT_FALSE(store_.LastFinished());  // or it would be sent again
  ASSERT_TRUE(store_.FindFinished(key_));
  v1::TaskKey next = key_;
  next.set_task_id("next");
  ASSERT_THAT(store_.KeepFinished({next, {}, "second"}), IsOk());
  EXPECT_EQ(store_.FindFinished(key_)->update, "first");
  EXPECT_EQ(store_.FindFinished(next)->update, "second");
  store_.Clear();
  EXPECT_FALSE(store_.FindFinished(key_));
  EXPECT_EQ(store_.FindFinished(next)->update, "second");
  store_.Clear();  // of a task that had nothing to keep
  EXPECT_TRUE(store_.FindFinished(next));
}

TEST_F(TaskStoreTest, KeepsOneModelAndNoneOfAnotherName) {
  const std::string first = Sha256Of("first");
  const std::string second = Sha256Of("second");
  EXPECT_THAT(store_.FindModel(first), testing::StatusIs(absl::StatusCode::kNotFound));
  ASSERT_THAT(store_.KeepModel(first, "first"), IsOk());
  store_.Clear();  // ends a task, not a round
  EXPECT_EQ(Sha256Of(store_.FindModel(first)->bytes()), first);
  ASSERT_THAT(store_.KeepModel(second, "second"), IsOk());
  EXPECT_EQ(Sha256Of(store_.FindModel(second)->bytes()), second);
  EXPECT_THAT(store_.FindModel(first), testing::StatusIs(absl::StatusCode::kNotFound));
  store_.ForgetModels();
  EXPECT_THAT(store_.FindModel(second), testing::StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(store_.FindModel("../key.pem"),
              testing::StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace consilium
