#include "certs/authority.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "certs/home.h"
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

const Identity kNorth = {"lungs", Role::kHospital, "north"};

class AuthorityTest : public ::testing::Test {
 protected:
  testing::TempFolder folder_;
  testing::FakeClock clock_;
  Authority authority_ = *Authority::Create(folder_ / "ca", "lungs", clock_.Now());
};

TEST_F(AuthorityTest, KeyIsPrivate) {
  struct stat info {};
  ASSERT_EQ(::stat((folder_ / "ca/ca.key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

TEST_F(AuthorityTest, ASecondOneIsNotMadeOverTheFirst) {
  EXPECT_THAT(Authority::Create(folder_ / "ca", "lungs", clock_.Now()),
              StatusIs(absl::StatusCode::kAlreadyExists));
  ASSERT_OK_AND_ASSIGN(const Authority loaded, Authority::Load(folder_ / "ca"));
  EXPECT_EQ(loaded.certificate().Sha256(), authority_.certificate().Sha256());
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

TEST(Home, ComesBackAndIsNotOverwritten) {
  const testing::TempFolder folder;
  const testing::FakeClock clock;
  const Authority authority = *Authority::Create(folder / "ca", "lungs", clock.Now());
  const PrivateKey key = *PrivateKey::Generate();
  const Home home = {.federation = "lungs",
                     .endpoint = "localhost:8443",
                     .ca_pem = authority.pem(),
                     .certificate_pem = *authority.IssueClient(key, kNorth, clock.Now()),
                     .key_pem = *key.ToPem()};
  EXPECT_THAT(ReadHome(folder / "north"), StatusIs(absl::StatusCode::kFailedPrecondition));
  ASSERT_THAT(WriteHome(folder / "north", home), IsOk());
  ASSERT_OK_AND_ASSIGN(const Home read, ReadHome(folder / "north"));
  EXPECT_EQ(read.endpoint, home.endpoint);
  EXPECT_EQ(read.certificate_pem, home.certificate_pem);
  EXPECT_THAT(WriteHome(folder / "north", home), StatusIs(absl::StatusCode::kAlreadyExists));

  ASSERT_THAT(WriteFileAtomically(folder / "north/identity.key", *PrivateKey::Generate()->ToPem(),
                                  kPrivateMode),
              IsOk());
  EXPECT_THAT(ReadHome(folder / "north"), StatusIs(absl::StatusCode::kFailedPrecondition));
}

}  // namespace
}  // namespace consilium
