#include "certs/home.h"

#include <gmock/gmock.h>

#include <cstdlib>

#include "certs/authority.h"
#include "common/base/file.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

constexpr auto kPrecondition = absl::StatusCode::kFailedPrecondition;
const Identity kNorth = {"lungs", Role::kHospital, "north"};

class HomeTest : public ::testing::Test {
 protected:
  void TearDown() override { ::unsetenv("CONSILIUM_PASSPHRASE_FILE"); }

  std::string Certify(const PrivateKey& key) const {
    return *authority_.IssueClient(key, kNorth, clock_.Now());
  }
  Home NewHome() const {
    const PrivateKey key = *PrivateKey::Generate();
    return {.federation = "lungs",
            .endpoint = "localhost:8443",
            .ca_pem = authority_.root_pem(),
            .certificate_pem = Certify(key),
            .key_pem = *key.ToPem()};
  }
  void SetPassphrase(const std::string& text) const {
    ASSERT_THAT(WriteFileAtomically(folder_ / "passphrase", text), IsOk());
    ::setenv("CONSILIUM_PASSPHRASE_FILE", (folder_ / "passphrase").c_str(), 1);
  }

  testing::TempFolder folder_;
  testing::FakeClock clock_;
  Authority authority_ = *Authority::Create(folder_ / "ca", "lungs", clock_.Now());
  const std::filesystem::path home_ = folder_ / "north";
};

TEST_F(HomeTest, ComesBackAndIsNotOverwritten) {
  const Home home = NewHome();
  EXPECT_THAT(ReadHome(home_), StatusIs(kPrecondition));
  ASSERT_THAT(WriteHome(home_, home), IsOk());
  ASSERT_OK_AND_ASSIGN(const Home read, ReadHome(home_));
  EXPECT_EQ(read.endpoint, home.endpoint);
  EXPECT_EQ(read.certificate_pem, home.certificate_pem);
  EXPECT_EQ(read.key_pem, home.key_pem);
  EXPECT_THAT(WriteHome(home_, home), StatusIs(absl::StatusCode::kAlreadyExists));

  ASSERT_THAT(
      WriteFileAtomically(home_ / "identity.key", *PrivateKey::Generate()->ToPem(), kPrivateMode),
      IsOk());
  EXPECT_THAT(ReadHome(home_), StatusIs(kPrecondition));
}

TEST_F(HomeTest, KeyIsEncryptedUnderThePassphrase) {
  SetPassphrase("correct horse\n");
  const Home home = NewHome();
  ASSERT_THAT(WriteHome(home_, home), IsOk());
  EXPECT_THAT(*ReadFile(home_ / "identity.key"), HasSubstr("BEGIN ENCRYPTED PRIVATE KEY"));
  EXPECT_EQ(ReadHome(home_)->key_pem, home.key_pem);
  SetPassphrase("battery staple\n");
  EXPECT_THAT(ReadHome(home_), StatusIs(kPrecondition, HasSubstr("not its passphrase")));
  ::unsetenv("CONSILIUM_PASSPHRASE_FILE");
  EXPECT_THAT(ReadHome(home_), StatusIs(kPrecondition, HasSubstr("no passphrase")));
}

TEST_F(HomeTest, EmptyPassphraseIsAnError) {
  SetPassphrase("\n");
  EXPECT_THAT(WriteHome(home_, NewHome()), StatusIs(kPrecondition, HasSubstr("empty")));
}

TEST_F(HomeTest, RenewalThatIsCutShortLeavesTheFormerIdentity) {
  const Home home = NewHome();
  ASSERT_THAT(WriteHome(home_, home), IsOk());
  ASSERT_THAT(HomeRenewal::Begin(home_), IsOk());
  EXPECT_EQ(ReadHome(home_)->certificate_pem, home.certificate_pem);
  EXPECT_THAT(HomeRenewal::Begin(home_), IsOk());  // and another can begin
}

TEST_F(HomeTest, RenewalThatIsCutShortAfterItsCertificateIsTheNewIdentity) {
  ASSERT_THAT(WriteHome(home_, NewHome()), IsOk());
  std::string fresh;
  {
    ASSERT_OK_AND_ASSIGN(const HomeRenewal renewal, HomeRenewal::Begin(home_));
    fresh = *renewal.key().ToPem();
    // The first of what Finish writes.
    ASSERT_THAT(WriteFileAtomically(home_ / "identity.crt", Certify(renewal.key())), IsOk());
  }
  EXPECT_EQ(ReadHome(home_)->key_pem, fresh);
  ASSERT_THAT(HomeRenewal::Begin(home_), IsOk());  // which does not lose the key in use
  EXPECT_EQ(ReadHome(home_)->key_pem, fresh);
}

TEST_F(HomeTest, RenewalReplacesBoth) {
  ASSERT_THAT(WriteHome(home_, NewHome()), IsOk());
  ASSERT_OK_AND_ASSIGN(HomeRenewal renewal, HomeRenewal::Begin(home_));
  EXPECT_THAT(HomeRenewal::Begin(home_), StatusIs(kPrecondition));  // one at a time
  EXPECT_FALSE(renewal.Finish(NewHome().certificate_pem).ok());     // not of this key
  const std::string pem = Certify(renewal.key());
  ASSERT_THAT(renewal.Finish(pem), IsOk());
  EXPECT_EQ(ReadHome(home_)->certificate_pem, pem);
  EXPECT_FALSE(std::filesystem::exists(home_ / "renewal/identity.key"));
}

TEST_F(HomeTest, RenewalIsDueWhenAThirdIsLeft) {
  const Home home = NewHome();
  const auto third = Authority::kCertificateValidity / 3;
  EXPECT_FALSE(*IsRenewalDue(home, clock_.Now() + 2 * third - std::chrono::days(2)));
  EXPECT_TRUE(*IsRenewalDue(home, clock_.Now() + 2 * third + std::chrono::days(2)));
}

}  // namespace
}  // namespace consilium
