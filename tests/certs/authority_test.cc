#include "certs/authority.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "common/base/file.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::kInvalid;
using testing::StatusIs;

constexpr auto kDenied = absl::StatusCode::kPermissionDenied;

const Identity kNorth = {"lungs", Role::kHospital, "north"};

class AuthorityTest : public ::testing::Test {
 protected:
  testing::TempFolder folder_;
  testing::FakeClock clock_;
  Authority authority_ = *Authority::Create(folder_ / "ca", "lungs", clock_.Now());
};

TEST_F(AuthorityTest, KeyIsPrivate) {
  struct stat info {};
  ASSERT_EQ(::stat((folder_ / "ca/issuing.pem").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

TEST_F(AuthorityTest, CertificatesLeadToTheRootByTheIssuingCa) {
  ASSERT_OK_AND_ASSIGN(const PrivateKey key, PrivateKey::Generate());
  ASSERT_OK_AND_ASSIGN(const std::string pem, authority_.IssueClient(key, kNorth, clock_.Now()));
  ASSERT_OK_AND_ASSIGN(const auto chain, Certificate::ChainFromPem(pem));
  ASSERT_EQ(chain.size(), 2U);
  EXPECT_THAT(VerifyChain(chain, authority_.root(), Purpose::kClient, clock_.Now()), IsOk());
  EXPECT_THAT(VerifyChain(chain, authority_.root(), Purpose::kServer, clock_.Now()),
              StatusIs(kDenied, HasSubstr("purpose")));
  EXPECT_THAT(VerifyChain({chain.front()}, authority_.root(), Purpose::kClient, clock_.Now()),
              StatusIs(kDenied));
}

TEST_F(AuthorityTest, WorksWithTheRootsKeyTakenAway) {
  std::filesystem::rename(folder_ / "ca/root", folder_ / "vault");
  ASSERT_OK_AND_ASSIGN(const Authority loaded, Authority::Load(folder_ / "ca"));
  ASSERT_OK_AND_ASSIGN(const PrivateKey key, PrivateKey::Generate());
  EXPECT_THAT(loaded.IssueClient(key, kNorth, clock_.Now()), IsOk());
}

TEST_F(AuthorityTest, AnotherIssuingCaLeavesEarlierCertificatesGood) {
  ASSERT_OK_AND_ASSIGN(const PrivateKey key, PrivateKey::Generate());
  ASSERT_OK_AND_ASSIGN(const std::string before, authority_.IssueClient(key, kNorth, clock_.Now()));
  std::filesystem::rename(folder_ / "ca/root", folder_ / "vault");
  ASSERT_THAT(Authority::RenewIssuing(folder_ / "ca", folder_ / "vault", clock_.Now()), IsOk());
  ASSERT_OK_AND_ASSIGN(const Authority renewed, Authority::Load(folder_ / "ca"));
  EXPECT_NE(renewed.issuing().Serial(), authority_.issuing().Serial());
  ASSERT_OK_AND_ASSIGN(const std::string after, renewed.IssueClient(key, kNorth, clock_.Now()));
  for (const std::string& pem : {before, after}) {
    EXPECT_THAT(VerifyChain(*Certificate::ChainFromPem(pem), authority_.root(), Purpose::kClient,
                            clock_.Now()),
                IsOk());
  }
}

TEST_F(AuthorityTest, NoCertificateOutlivesItsIssuer) {
  ASSERT_OK_AND_ASSIGN(const PrivateKey key, PrivateKey::Generate());
  const TimePoint late = authority_.issuing().NotAfter() - std::chrono::days(100);
  ASSERT_OK_AND_ASSIGN(const std::string pem, authority_.IssueClient(key, kNorth, late));
  EXPECT_EQ(Certificate::FromPem(pem)->NotAfter(), authority_.issuing().NotAfter());
}

TEST_F(AuthorityTest, FederationsNameMustFitACommonName) {
  EXPECT_THAT(Authority::Create(folder_ / "long", std::string(41, 'a'), clock_.Now()),
              StatusIs(kInvalid, HasSubstr("at most 40")));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "long"));
  EXPECT_THAT(Authority::Create(folder_ / "fits", std::string(40, 'a'), clock_.Now()), IsOk());
}

TEST_F(AuthorityTest, AnotherFederationsRootMakesNoIssuingCa) {
  ASSERT_THAT(Authority::Create(folder_ / "other", "lungs", clock_.Now()), IsOk());
  EXPECT_THAT(Authority::RenewIssuing(folder_ / "ca", folder_ / "other/root", clock_.Now()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("not the key")));
}

TEST_F(AuthorityTest, FolderFromBeforeIssuingCasStillIssues) {
  std::filesystem::rename(folder_ / "ca/root", folder_ / "old");  // ca.crt and ca.key, side by side
  ASSERT_OK_AND_ASSIGN(const Authority old, Authority::Load(folder_ / "old"));
  ASSERT_OK_AND_ASSIGN(const PrivateKey key, PrivateKey::Generate());
  ASSERT_OK_AND_ASSIGN(const std::string pem, old.IssueClient(key, kNorth, clock_.Now()));
  EXPECT_THAT(
      VerifyChain(*Certificate::ChainFromPem(pem), old.root(), Purpose::kClient, clock_.Now()),
      IsOk());
}

TEST_F(AuthorityTest, RevocationListNamesWhatItWasTold) {
  ASSERT_OK_AND_ASSIGN(
      const std::string list,
      authority_.IssueRevocationList({{"0A", clock_.Now()}, {"7FFF", clock_.Now()}}, clock_.Now()));
  EXPECT_EQ(*ReadRevocationList(list, authority_.issuing()),
            (std::vector<std::string>{"0A", "7FFF"}));
  EXPECT_FALSE(authority_.IssueRevocationList({{"", clock_.Now()}}, clock_.Now()).ok());
  EXPECT_THAT(ReadRevocationList(list, authority_.root()), StatusIs(kDenied));
  EXPECT_THAT(ReadRevocationList("junk", authority_.issuing()), StatusIs(kInvalid));
}

TEST_F(AuthorityTest, ASecondOneIsNotMadeOverTheFirst) {
  EXPECT_THAT(Authority::Create(folder_ / "ca", "lungs", clock_.Now()),
              StatusIs(absl::StatusCode::kAlreadyExists));
  ASSERT_OK_AND_ASSIGN(const Authority loaded, Authority::Load(folder_ / "ca"));
  EXPECT_EQ(loaded.root().Sha256(), authority_.root().Sha256());
}

TEST_F(AuthorityTest, CertificateNamesWhoTheAuthoritySays) {
  ASSERT_OK_AND_ASSIGN(const PrivateKey key, PrivateKey::Generate());
  ASSERT_OK_AND_ASSIGN(const std::string request, SigningRequest::Create(key));
  ASSERT_OK_AND_ASSIGN(const std::string pem,
                       authority_.IssueFromRequest(request, kNorth, clock_.Now()));
  ASSERT_OK_AND_ASSIGN(const Certificate certificate, Certificate::FromPem(pem));
  ASSERT_OK_AND_ASSIGN(const Identity identity, IdentityOf(certificate));
  EXPECT_EQ(identity, kNorth);
  EXPECT_TRUE(certificate.Matches(key));
  EXPECT_FALSE(certificate.Matches(*PrivateKey::Generate()));
  EXPECT_EQ(certificate.NotAfter(), std::chrono::floor<std::chrono::seconds>(
                                        clock_.Now() + Authority::kCertificateValidity));
}

TEST_F(AuthorityTest, SerialNumbersDiffer) {
  ASSERT_OK_AND_ASSIGN(const PrivateKey key, PrivateKey::Generate());
  ASSERT_OK_AND_ASSIGN(const std::string a, authority_.IssueClient(key, kNorth, clock_.Now()));
  ASSERT_OK_AND_ASSIGN(const std::string b, authority_.IssueClient(key, kNorth, clock_.Now()));
  EXPECT_NE(Certificate::FromPem(a)->Serial(), Certificate::FromPem(b)->Serial());
}

TEST_F(AuthorityTest, RequestsThatAreNoneAreRefused) {
  EXPECT_THAT(authority_.IssueFromRequest("nonsense", kNorth, clock_.Now()),
              StatusIs(kInvalid, HasSubstr("not a signing request")));
  ASSERT_OK_AND_ASSIGN(const PrivateKey key, PrivateKey::Generate());
  std::string request = *SigningRequest::Create(key);
  // Another letter in the signature, which is at the request's end.
  char& letter = request[request.size() - 50];
  letter = letter == 'A' ? 'B' : 'A';
  EXPECT_THAT(authority_.IssueFromRequest(request, kNorth, clock_.Now()), StatusIs(kInvalid));
}

TEST_F(AuthorityTest, HostNamesCannotSmuggleOthers) {
  ASSERT_OK_AND_ASSIGN(const PrivateKey key, PrivateKey::Generate());
  const Identity coordinator = {"lungs", Role::kCoordinator, "coordinator"};
  EXPECT_THAT(authority_.IssueServer(key, coordinator, "fl.example.org", clock_.Now()), IsOk());
  EXPECT_THAT(authority_.IssueServer(key, coordinator, "10.0.0.1", clock_.Now()), IsOk());
  EXPECT_THAT(authority_.IssueServer(key, coordinator, "a,DNS:evil.org", clock_.Now()),
              StatusIs(kInvalid));
}

TEST(Identity, RoundTripsAndRefusesOtherForms) {
  ASSERT_OK_AND_ASSIGN(const Identity identity, ParseIdentity(kNorth.ToUri()));
  EXPECT_EQ(identity, kNorth);
  for (const char* bad :
       {"", "https://lungs/hospital/north", "spiffe://lungs/hospital", "spiffe://lungs/king/north",
        "spiffe://lungs/hospital/north/x", "spiffe://lungs/hospital/", "spiffe://LUNGS/hospital/a",
        "spiffe://lungs/hospital/a..b", "spiffe://lungs/hospital/-a"}) {
    EXPECT_THAT(ParseIdentity(bad), StatusIs(kInvalid)) << bad;
  }
}

}  // namespace
}  // namespace consilium
