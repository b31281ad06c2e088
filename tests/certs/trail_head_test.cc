#include "certs/trail_head.h"

#include <gmock/gmock.h>

#include "certs/authority.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

class TrailHeadTest : public ::testing::Test {
 protected:
  std::unique_ptr<AuditTrail> Trail(const std::string& name) {
    return *AuditTrail::Open(folder_ / name, clock_);
  }
  // The head of `owner` goes into the trail of `holder`, as each round does it.
  void Exchange(AuditTrail& owner, AuditTrail& holder, const std::string& site = "north") {
    const TrailHead head = owner.head();
    ASSERT_THAT(holder.Append("site_head",
                              {{"site", site}, {"entries", head.entries}, {"head", head.hash}}),
                IsOk());
  }

  testing::TempFolder folder_;
  testing::FakeClock clock_;
};

TEST_F(TrailHeadTest, SignatureIsItsOwners) {
  const Authority authority = *Authority::Create(folder_ / "ca", "lungs", clock_.Now());
  const PrivateKey key = *PrivateKey::Generate();
  const std::string chain =
      *authority.IssueClient(key, {"lungs", Role::kHospital, "north"}, clock_.Now());
  const Certificate certificate = *Certificate::FromPem(chain);
  const TrailHead head{7, std::string(64, 'a')};
  ASSERT_OK_AND_ASSIGN(v1::SignedHead message, SignHead(head, {key, chain}));
  ASSERT_OK_AND_ASSIGN(const TrailHead checked, CheckHead(message, certificate));
  EXPECT_EQ(checked, head);

  v1::SignedHead harmed = message;
  harmed.set_entries(8);
  EXPECT_FALSE(CheckHead(harmed, certificate).ok());
  harmed = message;
  harmed.set_hash(std::string(64, 'b'));
  EXPECT_FALSE(CheckHead(harmed, certificate).ok());
  for (const char* signature : {"", "zz", "abc", "00"}) {
    harmed = message;
    harmed.set_signature(signature);
    EXPECT_FALSE(CheckHead(harmed, certificate).ok()) << signature;
  }
  harmed.set_signature(std::string(100'000, 'a'));
  EXPECT_THAT(CheckHead(harmed, certificate), StatusIs(testing::kInvalid));
}

TEST_F(TrailHeadTest, TrailsThatAgreeAgree) {
  const auto owner = Trail("owner");
  const auto holder = Trail("holder");
  Exchange(*owner, *holder);  // still empty
  for (int i = 0; i < 3; ++i) {
    ASSERT_THAT(owner->Append("task"), IsOk());
    Exchange(*owner, *holder);
  }
  ASSERT_OK_AND_ASSIGN(const int agree,
                       CompareTrails(folder_ / "holder", "site_head", "north", folder_ / "owner"));
  EXPECT_EQ(agree, 4);
}

// Its owner alone can write a trail anew, hashes and head file and all. The other side remembers.
TEST_F(TrailHeadTest, TrailThatWasWrittenAnewIsFoundByTheOtherSidesHeads) {
  {
    const auto owner = Trail("owner");
    const auto holder = Trail("holder");
    ASSERT_THAT(owner->Append("update_refused", {{"site", "north"}}), IsOk());
    ASSERT_THAT(owner->Append("task"), IsOk());
    Exchange(*owner, *holder);
  }
  for (const char* file : {"owner", "owner.head"}) std::filesystem::remove(folder_ / file);
  {
    const auto anew = Trail("owner");
    ASSERT_THAT(anew->Append("update_accepted", {{"site", "north"}}), IsOk());
    EXPECT_THAT(CompareTrails(folder_ / "holder", "site_head", "north", folder_ / "owner"),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("has 1 entries")));
    ASSERT_THAT(anew->Append("task"), IsOk());
  }
  ASSERT_THAT(VerifyTrail(folder_ / "owner"), IsOk());
  EXPECT_THAT(CompareTrails(folder_ / "holder", "site_head", "north", folder_ / "owner"),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("entry 2 is another one")));
}

TEST_F(TrailHeadTest, HeadsOfOtherSitesAreNotCompared) {
  const auto owner = Trail("owner");
  const auto holder = Trail("holder");
  ASSERT_THAT(holder->Append("site_head", {{"site", "south"}, {"entries", 9}, {"head", "x"}}),
              IsOk());
  EXPECT_THAT(CompareTrails(folder_ / "holder", "site_head", "north", folder_ / "owner"), IsOk());
}

}  // namespace
}  // namespace consilium
