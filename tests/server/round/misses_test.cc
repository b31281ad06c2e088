#include "server/round/misses.h"

#include <gmock/gmock.h>

namespace consilium {
namespace {

using ::testing::ElementsAre;

class MissesTest : public ::testing::Test {
 protected:
  void AddTask(const std::string& site, TaskStatus status, const std::string& reason = "") {
    run_.tasks.push_back({.site = site, .round = run_.round, .status = status, .reason = reason});
  }

  RunState run_ = {.config = {.rounds = 5}, .round = 2};
};

TEST_F(MissesTest, LastTaskOfASiteSaysWhetherItIsMissing) {
  AddTask("a", TaskStatus::kMissed, "late");
  AddTask("b", TaskStatus::kDone);
  AddTask("c", TaskStatus::kFailed, "out of memory");
  AddTask("a", TaskStatus::kDone);  // when it was asked again
  run_.config.sites = {"a", "b", "c", "d"};
  EXPECT_EQ(WhoIsMissing(TasksBySite(run_)), "c: out of memory");
  NoteMisses(run_, TasksBySite(run_));
  EXPECT_THAT(run_.misses, ElementsAre(Miss{2, "c", "out of memory"}, Miss{2, "d", "not active"}));
}

TEST_F(MissesTest, ForgetsThoseOfTheCurrentRoundAlone) {
  run_.misses = {{1, "a", "late"}, {2, "b", "late"}};
  ForgetMisses(run_);
  EXPECT_THAT(run_.misses, ElementsAre(Miss{1, "a", "late"}));
}

TEST_F(MissesTest, RoundsAreToldInSpans) {
  run_.misses = {{1, "a", ""}, {2, "b", ""}, {3, "b", ""},
                 {4, "b", ""}, {5, "a", ""}, {6, "b", ""}};
  EXPECT_EQ(DescribeMisses(run_),
            "a missed round 1, round 5; b missed rounds 2-4, the final evaluation");
}

}  // namespace
}  // namespace consilium
