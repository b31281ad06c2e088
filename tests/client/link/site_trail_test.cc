#include "client/link/site_trail.h"

#include <gmock/gmock.h>

#include "certs/authority.h"
#include "certs/trail_head.h"
#include "common/base/file.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using testing::IsOk;
using ::testing::SizeIs;
using testing::StatusIs;

class SiteTrailTest : public ::testing::Test {
 protected:
  // The coordinator's signing key, as an authority certifies it.
  Signer SignerOf(const Authority& authority) const {
    const PrivateKey key = *PrivateKey::GenerateEd25519();
    return {key, *authority.IssueSigner(key, {"lungs", Role::kCoordinator, "coordinator"},
                                        clock_.Now())};
  }
  Authority MakeAuthority(const std::string& name) const {
    return *Authority::Create(folder_ / name, "lungs", clock_.Now());
  }
  std::vector<nlohmann::ordered_json> Entries() const {
    std::vector<nlohmann::ordered_json> entries;
    EXPECT_THAT(
        VerifyTrail(folder_ / kTrailFile, [&](const auto& entry) { entries.push_back(entry); }),
        IsOk());
    return entries;
  }

  testing::TempFolder folder_;
  testing::FakeClock clock_;
  std::unique_ptr<AuditTrail> trail_ = *AuditTrail::Open(folder_ / kTrailFile, clock_);
};

TEST_F(SiteTrailTest, OutboxListsWhatWasSentInOrderAndWhatWasSentAgainOnce) {
  const Sending initial{.task_id = "r.r0.north.initialise", .digest = "d0", .bytes = 10};
  const Sending update{.task_id = "r.r1.north.train",
                       .digest = "d1",
                       .bytes = 20,
                       .train_examples = 300,
                       .norm = 0.5};
  for (const Sending& sending : {initial, update, update}) {
    ASSERT_THAT(NoteSending(*trail_, sending), IsOk());
    ASSERT_THAT(trail_->Append("task", {{"task", "something else"}}), IsOk());
    clock_.Advance(std::chrono::minutes(1));
  }
  ASSERT_OK_AND_ASSIGN(const auto outbox, ReadOutbox(folder_ / ""));
  ASSERT_THAT(outbox, SizeIs(2));
  EXPECT_EQ(outbox[0].task_id, initial.task_id);
  EXPECT_EQ(outbox[0].train_examples, 0);
  EXPECT_EQ(outbox[1].digest, "d1");
  EXPECT_EQ(outbox[1].bytes, 20);
  EXPECT_EQ(outbox[1].train_examples, 300);
  EXPECT_EQ(outbox[1].norm, 0.5);
  EXPECT_LT(outbox[0].time, outbox[1].time);
}

TEST_F(SiteTrailTest, OutboxOfATrailThatWasChangedIsNotShown) {
  ASSERT_THAT(NoteSending(*trail_, {.task_id = "t", .digest = "d", .bytes = 4096}), IsOk());
  std::string bytes = *ReadFile(folder_ / kTrailFile);
  bytes.replace(bytes.find("4096"), 4, "1096");
  ASSERT_THAT(WriteFileAtomically(folder_ / kTrailFile, bytes), IsOk());
  EXPECT_THAT(ReadOutbox(folder_ / ""), StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(SiteTrailTest, CoordinatorsHeadIsKeptAndItsCertificateOnce) {
  const Authority authority = MakeAuthority("ca");
  const Signer signer = SignerOf(authority);
  CoordinatorHeads heads(*trail_, authority.root());
  for (std::uint64_t n : {7, 9}) {
    const v1::SignedHead head = *SignHead({n, std::string(64, 'a')}, signer);
    ASSERT_THAT(heads.Keep(head, "t", clock_.Now()), IsOk());
  }
  const auto entries = Entries();
  ASSERT_THAT(entries, SizeIs(2));
  EXPECT_EQ(entries[0]["event"], "coordinator_head");
  EXPECT_EQ(entries[0]["entries"], 7);
  EXPECT_EQ(entries[0]["certificate"], signer.chain_pem);
  EXPECT_EQ(entries[1]["entries"], 9);
  EXPECT_FALSE(entries[1].contains("certificate"));
  EXPECT_EQ(entries[0]["serial"], entries[1]["serial"]);
}

TEST_F(SiteTrailTest, HeadThatTheCoordinatorDidNotSignIsNotKept) {
  const Authority authority = MakeAuthority("ca");
  CoordinatorHeads heads(*trail_, authority.root());
  const TrailHead head{7, std::string(64, 'a')};

  const Signer other = SignerOf(MakeAuthority("other"));
  EXPECT_FALSE(heads.Keep(*SignHead(head, other), "t", clock_.Now()).ok());

  // A hospital's certificate is good, but not for signing.
  const PrivateKey key = *PrivateKey::Generate();
  const std::string chain =
      *authority.IssueClient(key, {"lungs", Role::kHospital, "north"}, clock_.Now());
  EXPECT_FALSE(heads.Keep(*SignHead(head, {key, chain}), "t", clock_.Now()).ok());

  const Signer signer = SignerOf(authority);
  v1::SignedHead changed = *SignHead(head, signer);
  changed.set_entries(8);
  EXPECT_FALSE(heads.Keep(changed, "t", clock_.Now()).ok());

  const v1::SignedHead late = *SignHead(head, signer);
  clock_.Advance(Authority::kCertificateValidity + std::chrono::days(1));
  EXPECT_FALSE(heads.Keep(late, "t", clock_.Now()).ok());
  EXPECT_FALSE(heads.Keep({}, "t", clock_.Now()).ok());
  EXPECT_THAT(Entries(), SizeIs(0));
}

}  // namespace
}  // namespace consilium
