#include "client/link/policy.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <ctime>

#include "common/config/plan.h"
#include "common/config/site.h"
#include "tests/testing/status_matchers.h"

namespace consilium {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

constexpr auto kDenied = absl::StatusCode::kPermissionDenied;

class PolicyTest : public ::testing::Test {
 protected:
  PolicyTest() {
    *task_.mutable_plan() = DefaultPlan();
    task_.set_cohort_sites(3);
  }
  Status Check() const { return CheckPolicy(site_, task_); }
  v1::SitePolicy& policy() { return *site_.mutable_policy(); }

  v1::SiteConfig site_ = DefaultSite();
  v1::Task task_;
};

TEST_F(PolicyTest, WithoutAPolicyEveryProperPlanIsAllowed) {
  EXPECT_THAT(Check(), IsOk());
  task_.mutable_plan()->set_rounds(0);
  EXPECT_THAT(Check(), StatusIs(testing::kInvalid, HasSubstr("rounds")));
}

TEST_F(PolicyTest, ArchitectureCohortAndPrivacyAreAskedFor) {
  site_.add_architectures("vgg16");
  EXPECT_THAT(Check(), StatusIs(kDenied, HasSubstr("'resnet18'")));
  site_.clear_architectures();
  policy().set_min_cohort(4);
  EXPECT_THAT(Check(), StatusIs(kDenied, HasSubstr("the round has 3 sites")));
  policy().set_min_cohort(3);
  EXPECT_THAT(Check(), IsOk());
  policy().add_required_privacy("pseudonyms");
  EXPECT_THAT(Check(), StatusIs(kDenied, HasSubstr("lacks 'pseudonyms'")));
  task_.mutable_plan()->set_site_names("pseudonyms");
  EXPECT_THAT(Check(), IsOk());
}

TEST_F(PolicyTest, EpochsAreCountedOverTheWholeRunAndFromSteps) {
  policy().set_max_epochs(20);
  v1::RunPlan plan = DefaultPlan();
  plan.set_rounds(10);
  plan.mutable_training()->set_local_epochs(2);
  EXPECT_THAT(CheckEpochs(site_.policy(), plan, 100), IsOk());
  plan.set_rounds(11);
  EXPECT_THAT(CheckEpochs(site_.policy(), plan, 100), StatusIs(kDenied, HasSubstr("22.0 epochs")));
  plan.set_rounds(10);
  plan.mutable_training()->set_local_steps(50);
  plan.mutable_training()->set_batch_size(4);  // 200 images a round
  EXPECT_THAT(CheckEpochs(site_.policy(), plan, 100), IsOk());
  EXPECT_THAT(CheckEpochs(site_.policy(), plan, 99), StatusIs(kDenied));
}

TEST_F(PolicyTest, TransfersKeepToTheSitesOwnHours) {
  ::setenv("TZ", "UTC", 1);
  ::tzset();
  const auto at = [](int hour, int minute) {
    return FromUnixMillis(1'800'000'000'000 / 86'400'000 * 86'400'000) + std::chrono::hours(hour) +
           std::chrono::minutes(minute);
  };
  EXPECT_TRUE(MayTransfer(site_.policy(), at(12, 0)));
  policy().add_transfer_hours("22:00-06:00");
  policy().add_transfer_hours("12:15-13:00");
  for (const auto& [hour, minute, may] : {std::tuple(21, 59, false),
                                          {22, 0, true},
                                          {0, 0, true},
                                          {5, 59, true},
                                          {6, 0, false},
                                          {12, 14, false},
                                          {12, 15, true},
                                          {13, 0, false}}) {
    EXPECT_EQ(MayTransfer(site_.policy(), at(hour, minute)), may) << hour << ":" << minute;
  }
}

TEST(ParseHoursTest, TakesSpansAndNothingElse) {
  ASSERT_OK_AND_ASSIGN(const auto span, ParseHours("22:30-06:05"));
  EXPECT_EQ(span, std::pair(22 * 60 + 30, 6 * 60 + 5));
  for (const char* bad : {"", "22-06", "24:00-06:00", "22:60-06:00", "22:00-6:00", "aa:00-06:00",
                          "22:00-06:00 ", "22:00/06:00"}) {
    EXPECT_THAT(ParseHours(bad), StatusIs(testing::kInvalid, HasSubstr("22:00-06:00"))) << bad;
  }
}

}  // namespace
}  // namespace consilium
