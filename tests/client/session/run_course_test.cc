#include "client/session/run_course.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "common/base/file.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using testing::IsOk;

// Of two examples, the first of which is told right.
Evaluation Half(bool both = false) {
  Evaluation evaluation(2);
  const std::vector<float> p = {0.75F, 0.25F};
  const std::vector<float> q = {0.25F, 0.75F};
  evaluation.Add(p, 0, 0.25);
  evaluation.Add(both ? q : p, 1, 0.75);
  return evaluation;
}

TEST(RunCourse, KeepsWhatModelsComeToByRound) {
  const testing::TempFolder folder;
  const RunCourse course(folder.path());
  ASSERT_THAT(course.NoteOwn("run-1", 0, Half()), IsOk());
  ASSERT_THAT(course.NoteOwn("run-1", 1, Half()), IsOk());
  ASSERT_THAT(course.NoteOwn("run-1", 1, Half(true)), IsOk());  // again, after a restart
  ASSERT_THAT(course.NotePooled("run-1", {{0, Half(true)}}), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto read, RunCourse(folder.path()).Read("run-1"));
  EXPECT_EQ(read["own"].size(), 2U);
  EXPECT_EQ(read["own"]["0"]["balanced_accuracy"], 0.5);
  EXPECT_EQ(read["own"]["0"]["loss"], 0.5);
  EXPECT_EQ(read["own"]["1"]["balanced_accuracy"], 1.0);
  EXPECT_EQ(read["pooled"]["0"]["balanced_accuracy"], 1.0);
}

TEST(RunCourse, NothingIsKnownOfOtherRunsOrWithoutExamples) {
  const testing::TempFolder folder;
  const RunCourse course(folder.path());
  ASSERT_THAT(course.NoteOwn("run-1", 0, Evaluation(2)), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto read, course.Read("run-1"));
  EXPECT_TRUE(read["own"].empty());
  EXPECT_TRUE(read["pooled"].empty());
}

TEST(RunCourse, DamagedFileIsNamed) {
  const testing::TempFolder folder;
  const RunCourse course(folder.path());
  ASSERT_THAT(course.NoteOwn("run-1", 0, Half()), IsOk());
  for (const auto& entry : std::filesystem::directory_iterator(folder / "course")) {
    for (const char* damaged : {"{", "[]", R"({"0": 5})"}) {
      ASSERT_THAT(WriteFileAtomically(entry.path(), damaged), IsOk());
      EXPECT_TRUE(absl::IsDataLoss(course.Read("run-1").status())) << damaged;
      EXPECT_TRUE(absl::IsDataLoss(course.NoteOwn("run-1", 1, Half()))) << damaged;
    }
  }
}

TEST(RunCourse, NameOfARunIsNoPath) {
  const testing::TempFolder folder;
  ASSERT_THAT(RunCourse(folder / "home").NoteOwn("../../escaped", 0, Half()), IsOk());
  EXPECT_FALSE(std::filesystem::exists(folder / "escaped.json"));
  EXPECT_EQ(RunCourse(folder / "home").Read("../../escaped")->at("own").size(), 1U);
}

}  // namespace
}  // namespace consilium
