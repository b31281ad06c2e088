#include "client/link/plan_book.h"

#include <gmock/gmock.h>

#include "common/base/file.h"
#include "common/config/plan.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

class PlanBookTest : public ::testing::Test {
 protected:
  testing::TempFolder folder_;
  testing::FakeClock clock_;
  PlanBook book_{folder_ / ""};
  v1::RunPlan plan_ = DefaultPlan();
};

TEST_F(PlanBookTest, PlanIsPendingUntilSomebodyDecides) {
  ASSERT_OK_AND_ASSIGN(const PlanEntry noted, book_.Note(plan_, "run-1", clock_.Now()));
  EXPECT_EQ(noted.decision, PlanDecision::kPending);
  EXPECT_THAT(noted.plan, HasSubstr("resnet18"));
  ASSERT_THAT(book_.Decide(noted.hash, PlanDecision::kApproved, "Dr. Weiß", clock_.Now()), IsOk());
  // Another run of the same plan needs no further word.
  ASSERT_OK_AND_ASSIGN(const PlanEntry again, book_.Note(plan_, "run-2", clock_.Now()));
  EXPECT_EQ(again.decision, PlanDecision::kApproved);
  EXPECT_EQ(again.by, "Dr. Weiß");
  EXPECT_EQ(again.run_id, "run-1");
}

TEST_F(PlanBookTest, DecisionHoldsForThePlanToTheLetter) {
  ASSERT_OK_AND_ASSIGN(const PlanEntry noted, book_.Note(plan_, "run-1", clock_.Now()));
  ASSERT_THAT(book_.Decide(noted.hash, PlanDecision::kApproved, "A", clock_.Now()), IsOk());
  plan_.mutable_training()->set_local_epochs(2);
  clock_.Advance(std::chrono::seconds(1));
  ASSERT_OK_AND_ASSIGN(const PlanEntry other, book_.Note(plan_, "run-2", clock_.Now()));
  EXPECT_EQ(other.decision, PlanDecision::kPending);
  ASSERT_OK_AND_ASSIGN(const auto all, book_.List());
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].hash, noted.hash);
}

TEST_F(PlanBookTest, DecisionWantsAKnownPlanAndAName) {
  const std::string hash = PlanHash(plan_);
  EXPECT_THAT(book_.Decide(hash, PlanDecision::kApproved, "A", clock_.Now()),
              StatusIs(absl::StatusCode::kNotFound));
  ASSERT_THAT(book_.Note(plan_, "run-1", clock_.Now()), IsOk());
  EXPECT_THAT(book_.Decide(hash, PlanDecision::kApproved, "", clock_.Now()),
              StatusIs(testing::kInvalid, HasSubstr("--by")));
  EXPECT_THAT(book_.FindByPrefix(hash.substr(0, 8)), IsOk());
  EXPECT_THAT(book_.FindByPrefix(hash.substr(0, 7)), StatusIs(testing::kInvalid));
  EXPECT_THAT(book_.FindByPrefix("../../etc/passwd"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(book_.Find("../x"), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(PlanBookTest, DamagedFileIsNoApproval) {
  ASSERT_OK_AND_ASSIGN(const PlanEntry noted, book_.Note(plan_, "run-1", clock_.Now()));
  const auto path = folder_ / ("plans/" + noted.hash + ".json");
  for (const char* text : {"", "{}", "[1]", "{\"decision\":\"approved\"}",
                           "{\"name\":\"x\",\"run\":\"r\",\"decision\":\"maybe\",\"by\":\"\","
                           "\"first_seen_unix_ms\":1,\"decided_unix_ms\":1,\"plan\":{}}"}) {
    ASSERT_THAT(WriteFileAtomically(path, text), IsOk());
    EXPECT_THAT(book_.Note(plan_, "run-1", clock_.Now()), StatusIs(absl::StatusCode::kDataLoss))
        << text;
  }
}

}  // namespace
}  // namespace consilium
