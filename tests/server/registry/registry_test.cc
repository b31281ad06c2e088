#include "server/registry/registry.h"

#include <gmock/gmock.h>

#include "common/crypto/certificate.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

constexpr auto kDenied = absl::StatusCode::kPermissionDenied;

class RegistryTest : public ::testing::Test {
 protected:
  std::string Request() { return *SigningRequest::Create(key_); }
  // Invites and joins; the certificate.
  std::string Joined(const std::string& site) {
    const auto invitation = registry_.Invite(site, Role::kHospital, "boss");
    EXPECT_THAT(invitation, IsOk());
    const auto enrolment = registry_.Join(invitation->token, Request());
    EXPECT_THAT(enrolment, IsOk());
    return enrolment->certificate_pem;
  }

  testing::TempFolder folder_;
  testing::FakeClock clock_;
  std::unique_ptr<Store> store_ = *Store::Open(folder_ / "db");
  Authority authority_ = *Authority::Create(folder_ / "ca", "lungs", clock_.Now());
  std::unique_ptr<AuditTrail> trail_ = *AuditTrail::Open(folder_ / kTrailFile, clock_);
  Registry registry_{*store_, *trail_, clock_, authority_, "lungs"};
  PrivateKey key_ = *PrivateKey::Generate();
};

TEST_F(RegistryTest, InvitedSiteJoinsAndIsKnownByItsCertificate) {
  const std::string pem = Joined("north");
  ASSERT_OK_AND_ASSIGN(const Identity identity, registry_.Authenticate(pem));
  EXPECT_EQ(identity, (Identity{"lungs", Role::kHospital, "north"}));
  EXPECT_THAT(*registry_.ActiveSites(), ElementsAre("north"));
}

TEST_F(RegistryTest, TokenWorksOnce) {
  ASSERT_OK_AND_ASSIGN(const Invitation invitation,
                       registry_.Invite("north", Role::kHospital, "boss"));
  ASSERT_THAT(registry_.Join(invitation.token, Request()), IsOk());
  EXPECT_THAT(registry_.Join(invitation.token, Request()),
              StatusIs(kDenied, HasSubstr("used already")));
}

TEST_F(RegistryTest, TokenExpires) {
  ASSERT_OK_AND_ASSIGN(const Invitation invitation,
                       registry_.Invite("north", Role::kHospital, "boss"));
  clock_.Advance(Registry::kInvitationValidity);
  EXPECT_THAT(registry_.Join(invitation.token, Request()), StatusIs(kDenied, HasSubstr("expired")));
}

TEST_F(RegistryTest, UnknownTokenIsRefused) {
  EXPECT_THAT(registry_.Join("guess", Request()), StatusIs(kDenied, HasSubstr("not known")));
}

TEST_F(RegistryTest, BadRequestLeavesTheTokenGood) {
  ASSERT_OK_AND_ASSIGN(const Invitation invitation,
                       registry_.Invite("north", Role::kHospital, "boss"));
  EXPECT_THAT(registry_.Join(invitation.token, "junk"), StatusIs(testing::kInvalid));
  EXPECT_THAT(registry_.Join(invitation.token, Request()), IsOk());
}

TEST_F(RegistryTest, TokenIsStoredAsItsHashAlone) {
  ASSERT_OK_AND_ASSIGN(const Invitation invitation,
                       registry_.Invite("north", Role::kHospital, "boss"));
  EXPECT_FALSE(store_->FindToken(invitation.token)->has_value());
  EXPECT_GE(invitation.token.size(), 32U);
}

TEST_F(RegistryTest, SiteThatWasNeverSeenMayJoinAgain) {
  const std::string lost = Joined("north");  // the answer did not arrive
  ASSERT_OK_AND_ASSIGN(const Invitation spare, registry_.Invite("north", Role::kHospital, "boss"));
  const std::string kept = Joined("north");
  EXPECT_THAT(registry_.Authenticate(lost), StatusIs(kDenied));
  EXPECT_THAT(registry_.Authenticate(kept), IsOk());
  EXPECT_THAT(registry_.Invite("north", Role::kHospital, "boss"),
              StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(registry_.Join(spare.token, Request()), StatusIs(kDenied, HasSubstr("used already")));
}

TEST_F(RegistryTest, RevokedSiteIsShutOutAtItsNextCall) {
  const std::string pem = Joined("north");
  ASSERT_THAT(registry_.Revoke("north", "boss"), IsOk());
  EXPECT_THAT(registry_.Authenticate(pem), StatusIs(kDenied, HasSubstr("revoked")));
  EXPECT_TRUE(registry_.ActiveSites()->empty());
  EXPECT_THAT(registry_.Revoke("south", "boss"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(*registry_.Revocations(),
              ElementsAre(Revocation{Certificate::FromPem(pem)->Serial(), clock_.Now()}));
  EXPECT_THAT(registry_.Renew(pem, Request()), StatusIs(kDenied, HasSubstr("revoked")));
}

TEST_F(RegistryTest, RevocationEndsInvitationsThatAreOpen) {
  ASSERT_OK_AND_ASSIGN(const Invitation spare, registry_.Invite("north", Role::kHospital, "boss"));
  Joined("north");
  ASSERT_OK_AND_ASSIGN(const Invitation late, registry_.Invite("north", Role::kHospital, "boss"));
  ASSERT_THAT(registry_.Revoke("north", "boss"), IsOk());
  for (const std::string& token : {spare.token, late.token}) {
    EXPECT_THAT(registry_.Join(token, Request()), StatusIs(kDenied, HasSubstr("used already")));
  }
}

TEST_F(RegistryTest, RevokedSiteMayBeInvitedAgainAndItsOldCertificateStaysVoid) {
  const std::string former = Joined("north");
  ASSERT_THAT(registry_.Authenticate(former), IsOk());
  ASSERT_THAT(registry_.Revoke("north", "boss"), IsOk());
  clock_.Advance(std::chrono::minutes(1));
  const std::string pem = Joined("north");
  EXPECT_THAT(registry_.Authenticate(pem), IsOk());
  EXPECT_THAT(registry_.Authenticate(former), StatusIs(kDenied));
}

TEST_F(RegistryTest, RenewedCertificateReplacesTheFormerOneOnceItIsUsed) {
  const std::string former = Joined("north");
  ASSERT_THAT(registry_.Authenticate(former), IsOk());
  clock_.Advance(std::chrono::hours(1));
  ASSERT_OK_AND_ASSIGN(const std::string pem, registry_.Renew(former, Request()));
  clock_.Advance(std::chrono::hours(1));
  EXPECT_THAT(registry_.Authenticate(former), IsOk());  // the answer may have been lost
  EXPECT_THAT(registry_.Authenticate(pem), IsOk());
  EXPECT_THAT(registry_.Authenticate(former), IsOk());  // calls may be under way
  clock_.Advance(Registry::kReplacedValidity);
  EXPECT_THAT(registry_.Authenticate(former), StatusIs(kDenied, HasSubstr("another certificate")));
  EXPECT_THAT(registry_.Authenticate(pem), IsOk());
}

TEST_F(RegistryTest, ActiveSitesFollowWhatBecomesOfTheirMembers) {
  EXPECT_TRUE(registry_.ActiveSites()->empty());
  const std::string former = Joined("north");
  ASSERT_THAT(registry_.Authenticate(former), IsOk());
  Joined("south");
  EXPECT_THAT(*registry_.ActiveSites(), ElementsAre("north", "south"));
  clock_.Advance(Authority::kCertificateValidity / 2);
  ASSERT_OK_AND_ASSIGN(const std::string pem, registry_.Renew(former, Request()));
  ASSERT_THAT(registry_.Authenticate(pem), IsOk());
  EXPECT_THAT(*registry_.ActiveSites(), ElementsAre("north", "south"));
  clock_.Advance(Authority::kCertificateValidity / 2 + std::chrono::days(1));
  EXPECT_THAT(*registry_.ActiveSites(), ElementsAre("north"));
  ASSERT_THAT(registry_.Revoke("north", "boss"), IsOk());
  EXPECT_TRUE(registry_.ActiveSites()->empty());
}

TEST_F(RegistryTest, RenewalIsNotRepeatedAtOnce) {
  const std::string former = Joined("north");
  clock_.Advance(std::chrono::seconds(1));
  ASSERT_THAT(registry_.Renew(former, Request()), IsOk());
  EXPECT_THAT(registry_.Renew(former, Request()), StatusIs(absl::StatusCode::kUnavailable));
  clock_.Advance(Registry::kMinRenewalInterval);
  EXPECT_THAT(registry_.Renew(former, Request()), IsOk());
}

TEST_F(RegistryTest, CertificateThatExpiredDuringItsConnectionIsRefused) {
  const std::string pem = Joined("north");
  ASSERT_THAT(registry_.Authenticate(pem), IsOk());
  clock_.Advance(Authority::kCertificateValidity);
  EXPECT_THAT(registry_.Authenticate(pem),
              StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("expired")));
  EXPECT_TRUE(registry_.ActiveSites()->empty());
  Joined("north");  // it may be invited again
}

TEST_F(RegistryTest, MembersOfOtherRolesTakeNoPartInRuns) {
  ASSERT_OK_AND_ASSIGN(const Invitation invitation,
                       registry_.Invite("eye", Role::kObserver, "boss"));
  ASSERT_OK_AND_ASSIGN(const Enrolment enrolment, registry_.Join(invitation.token, Request()));
  EXPECT_EQ(registry_.Authenticate(enrolment.certificate_pem)->role, Role::kObserver);
  EXPECT_TRUE(registry_.ActiveSites()->empty());
  EXPECT_THAT(registry_.Invite("boss", Role::kCoordinator, "boss"), StatusIs(testing::kInvalid));
}

TEST_F(RegistryTest, LastAdminIsNotRevoked) {
  ASSERT_OK_AND_ASSIGN(
      const std::string pem,
      authority_.IssueClient(key_, {"lungs", Role::kAdmin, "admin"}, clock_.Now()));
  EXPECT_THAT(registry_.Authenticate(pem), StatusIs(kDenied));
  ASSERT_THAT(registry_.AdoptAdmin(pem), IsOk());
  EXPECT_THAT(registry_.Authenticate(pem), IsOk());
  EXPECT_THAT(registry_.Revoke("admin", "boss"), StatusIs(absl::StatusCode::kFailedPrecondition));
  ASSERT_OK_AND_ASSIGN(const Invitation invitation,
                       registry_.Invite("second", Role::kAdmin, "boss"));
  ASSERT_OK_AND_ASSIGN(const Enrolment second, registry_.Join(invitation.token, Request()));
  EXPECT_THAT(registry_.Revoke("admin", "boss"), StatusIs(absl::StatusCode::kFailedPrecondition));
  ASSERT_THAT(registry_.Authenticate(second.certificate_pem), IsOk());  // it is really there
  EXPECT_THAT(registry_.Revoke("admin", "boss"), IsOk());
}

TEST_F(RegistryTest, OnlyTheCertificateOfTheJoinCounts) {
  Joined("north");
  // The same CA, the same name, but not the certificate that joining gave.
  ASSERT_OK_AND_ASSIGN(
      const std::string other,
      authority_.IssueClient(key_, {"lungs", Role::kHospital, "north"}, clock_.Now()));
  EXPECT_THAT(registry_.Authenticate(other), StatusIs(kDenied));
  ASSERT_OK_AND_ASSIGN(
      const std::string unknown,
      authority_.IssueClient(key_, {"lungs", Role::kHospital, "south"}, clock_.Now()));
  EXPECT_THAT(registry_.Authenticate(unknown), StatusIs(kDenied, HasSubstr("south")));
  ASSERT_OK_AND_ASSIGN(
      const std::string foreign,
      authority_.IssueClient(key_, {"hearts", Role::kAdmin, "root"}, clock_.Now()));
  EXPECT_THAT(registry_.Authenticate(foreign), StatusIs(absl::StatusCode::kUnauthenticated));
  EXPECT_THAT(registry_.Authenticate(""), StatusIs(absl::StatusCode::kUnauthenticated));
}

TEST_F(RegistryTest, NamesAreChecked) {
  for (const char* bad : {"", "North", "a/b", "a b", "../x", "-a"}) {
    EXPECT_THAT(registry_.Invite(bad, Role::kHospital, "boss"), StatusIs(testing::kInvalid)) << bad;
  }
}

}  // namespace
}  // namespace consilium
