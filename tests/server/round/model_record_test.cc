#include "server/round/model_record.h"

#include <gmock/gmock.h>

namespace consilium {
namespace {

TaskState Task(const std::string& site, int round, TaskKind kind, TaskStatus status) {
  TaskState task{.id = site, .site = site, .round = round, .kind = kind, .status = status};
  task.result.blob_digest = "u-" + site;
  task.result.train_examples = 10;
  task.result.evaluation = Evaluation(2);
  const float probabilities[] = {0.9F, 0.1F};
  task.result.evaluation.Add(probabilities, 0, 0.1);
  return task;
}

TEST(ModelRecordTest, SaysWhoMadeTheModelAndHowItWasScoredAfterwards) {
  RunState run{.id = "r", .plan = "plan", .models = {{0, "m0", 1}, {1, "m1", 2}}};
  const std::vector<TaskState> tasks = {Task("south", 1, TaskKind::kTrain, TaskStatus::kDone),
                                        Task("north", 1, TaskKind::kTrain, TaskStatus::kDone),
                                        Task("west", 1, TaskKind::kTrain, TaskStatus::kMissed),
                                        Task("north", 2, TaskKind::kTrain, TaskStatus::kDone),
                                        Task("west", 2, TaskKind::kEvaluate, TaskStatus::kDone),
                                        Task("south", 2, TaskKind::kEvaluate, TaskStatus::kOpen)};
  const ModelRecord record = RecordOf(run, 1, tasks);
  EXPECT_EQ(record.version.digest, "m1");
  EXPECT_EQ(record.parent_digest, "m0");
  ASSERT_EQ(record.participants.size(), 2U);
  EXPECT_EQ(record.participants[0].site, "north");  // by name
  EXPECT_EQ(record.participants[1].update_digest, "u-south");
  ASSERT_EQ(record.site_evaluations.size(), 2U);
  EXPECT_EQ(record.site_evaluations[0].site, "north");
  EXPECT_EQ(record.site_evaluations[1].evaluation.examples(), 1U);
  EXPECT_EQ(record.evaluation.examples(), 2U);
}

ModelRecord::SiteEvaluation Scored(const std::string& site, int right, int wrong, int others) {
  Evaluation evaluation(2);
  const float first[] = {0.9F, 0.1F};
  const float second[] = {0.1F, 0.9F};
  for (int i = 0; i < right; ++i) evaluation.Add(first, 0, 0.1);
  for (int i = 0; i < wrong; ++i) evaluation.Add(second, 0, 2);
  for (int i = 0; i < others; ++i) evaluation.Add(second, 1, 0.1);
  return {site, evaluation};
}

TEST(ScoresToTell, SaysHowTheModelDoesAtEachSite) {
  const auto scores = ScoresToTell({Scored("north", 6, 2, 8), Scored("south", 5, 5, 0)});
  ASSERT_EQ(scores.size(), 2U);
  EXPECT_EQ(scores[0].site, "north");
  EXPECT_EQ(scores[0].examples, 16U);
  EXPECT_EQ(scores[0].accuracy, 14.0 / 16);
  EXPECT_EQ(scores[0].balanced_accuracy, (0.75 + 1) / 2);
  EXPECT_EQ(scores[1].balanced_accuracy, 0.5);
}

TEST(ScoresToTell, SiteWithFewImagesOfAClassIsLeftOutAndNotAlone) {
  EXPECT_TRUE(ScoresToTell({Scored("a", 4, 0, 20), Scored("b", 9, 9, 9)}).empty());
  const auto scores =
      ScoresToTell({Scored("a", 3, 1, 20), Scored("b", 9, 9, 9), Scored("c", 5, 5, 5)});
  ASSERT_EQ(scores.size(), 1U);
  EXPECT_EQ(scores[0].site, "b");
  EXPECT_EQ(ScoresToTell({Scored("a", 1, 0, 0), Scored("b", 0, 2, 0), Scored("c", 5, 5, 5)}).size(),
            1U);
  EXPECT_TRUE(ScoresToTell({}).empty());
}

TEST(ModelRecordTest, InitialModelHasNoParentAndNoParticipants) {
  const RunState run{.id = "r", .models = {{0, "m0", 1}}};
  const ModelRecord record =
      RecordOf(run, 0, {Task("north", 0, TaskKind::kInitialise, TaskStatus::kDone)});
  EXPECT_EQ(record.parent_digest, "");
  EXPECT_TRUE(record.participants.empty());
  EXPECT_TRUE(record.site_evaluations.empty());
}

}  // namespace
}  // namespace consilium
