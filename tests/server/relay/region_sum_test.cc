#include "server/relay/region_sum.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "common/wire/convert.h"
#include "tests/testing/status_matchers.h"

namespace consilium {
namespace {

class RegionSumTest : public ::testing::Test {
 protected:
  void Deliver(const std::string& site, const TaskResult& result) {
    run_.tasks.push_back({.id = site,
                          .site = site,
                          .round = run_.round,
                          .status = TaskStatus::kDone,
                          .reason = "",
                          .result = result});
  }
  static Evaluation Scored(int right, int wrong) {
    Evaluation evaluation(2);
    const std::vector<float> sure = {0.9F, 0.1F};
    for (int i = 0; i < right; ++i) evaluation.Add(sure, 0, 0.1);
    for (int i = 0; i < wrong; ++i) evaluation.Add(sure, 1, 2.3);
    return evaluation;
  }

  RunState run_ = {.round = 3};
};

TEST_F(RegionSumTest, IsWhatOneHospitalWithAllTheirImagesWouldSay) {
  Deliver("a", {.train_examples = 30,
                .steps = 4,
                .train_loss = 0.5,
                .train_seconds = 7,
                .evaluation = Scored(3, 1)});
  Deliver("b", {.train_examples = 10,
                .steps = 2,
                .train_loss = 0.9,
                .train_seconds = 5,
                .evaluation = Scored(1, 1)});
  ASSERT_OK_AND_ASSIGN(const v1::TaskResult sum, SumOf(run_));
  EXPECT_EQ(sum.train_examples(), 40U);
  EXPECT_EQ(sum.steps(), 6U);
  EXPECT_NEAR(sum.train_loss(), 0.6, 1e-12);
  EXPECT_EQ(sum.train_seconds(), 7);
  ASSERT_OK_AND_ASSIGN(const Evaluation evaluation, FromProto(sum.evaluation()));
  EXPECT_EQ(evaluation.confusion_counts(), Scored(4, 2).confusion_counts());
}

TEST_F(RegionSumTest, TellsOfNoSingleHospital) {
  EXPECT_THAT(SumOf(run_), testing::StatusIs(absl::StatusCode::kFailedPrecondition));
  Deliver("a", {.train_examples = 30, .evaluation = {}});
  EXPECT_THAT(SumOf(run_), testing::StatusIs(absl::StatusCode::kFailedPrecondition));
  Deliver("b", {.train_examples = 30, .evaluation = {}});
  EXPECT_THAT(SumOf(run_), testing::IsOk());
}

// Each number is one that a coordinator takes; a hospital that sends it must not silence the
// others.
TEST_F(RegionSumTest, OneHospitalsLargeNumbersLeaveASumThatIsTaken) {
  constexpr double kLargest = std::numeric_limits<double>::max();
  ASSERT_OK_AND_ASSIGN(const Evaluation large,
                       Evaluation::FromCounts(2, Scored(1, 0).confusion_counts(),
                                              Scored(1, 0).histogram_counts(), kLargest));
  for (const std::string site : {"a", "b"}) {
    Deliver(site, {.train_examples = 30, .train_loss = kLargest, .evaluation = large});
  }
  ASSERT_OK_AND_ASSIGN(const v1::TaskResult sum, SumOf(run_));
  EXPECT_TRUE(std::isfinite(sum.train_loss()));
  EXPECT_FALSE(sum.has_evaluation());
  EXPECT_EQ(sum.train_examples(), 60U);
}

}  // namespace
}  // namespace consilium
