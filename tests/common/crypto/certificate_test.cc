#include "common/crypto/certificate.h"

#include <gmock/gmock.h>

#include "common/crypto/issue.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/status_matchers.h"

namespace consilium {
namespace {

using std::chrono::days;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::kInvalid;
using testing::StatusIs;

constexpr auto kDenied = absl::StatusCode::kPermissionDenied;

class ChainTest : public ::testing::Test {
 protected:
  CertificateOptions Options() const {
    return {.common_name = "north",
            .subject_alternative_names = {"URI:spiffe://lungs/hospital/north"},
            .now = clock_.Now()};
  }

  testing::FakeClock clock_;
  PrivateKey key_ = *PrivateKey::Generate();
  Issuer root_{*CreateRoot(key_, "root", clock_.Now(), days(1000)), key_};
  Issuer issuing_{*IssueAuthority(root_, key_, "issuing", clock_.Now(), days(500)), key_};
  Certificate leaf_ = *IssueCertificate(issuing_, key_, Options());
};

TEST_F(ChainTest, IsGoodForItsTimeAlone) {
  const std::vector<Certificate> chain = {leaf_, issuing_.certificate};
  const auto verify = [&](TimePoint at) {
    return VerifyChain(chain, root_.certificate, Purpose::kClient, at);
  };
  EXPECT_THAT(verify(clock_.Now()), IsOk());
  EXPECT_THAT(verify(clock_.Now() - days(1)), StatusIs(kDenied, HasSubstr("not yet valid")));
  EXPECT_THAT(verify(clock_.Now() + days(366)), StatusIs(kDenied, HasSubstr("expired")));
}

TEST_F(ChainTest, AnotherRootIsNotTrusted) {
  const PrivateKey key = *PrivateKey::Generate();
  const Certificate other = *CreateRoot(key, "root", clock_.Now(), days(1000));
  EXPECT_THAT(VerifyChain({leaf_, issuing_.certificate}, other, Purpose::kClient, clock_.Now()),
              StatusIs(kDenied));
  EXPECT_THAT(VerifyChain({}, other, Purpose::kClient, clock_.Now()), StatusIs(kDenied));
}

TEST_F(ChainTest, MemberCannotIssue) {
  const Issuer member{leaf_, key_};
  const Certificate forged = *IssueCertificate(member, key_, Options());
  EXPECT_THAT(VerifyChain({forged, leaf_, issuing_.certificate}, root_.certificate,
                          Purpose::kClient, clock_.Now()),
              StatusIs(kDenied));
  // Nor may the issuing CA have another one below it.
  const Issuer third{*IssueAuthority(issuing_, key_, "third", clock_.Now(), days(10)), key_};
  const Certificate below = *IssueCertificate(third, key_, Options());
  EXPECT_THAT(VerifyChain({below, third.certificate, issuing_.certificate}, root_.certificate,
                          Purpose::kClient, clock_.Now()),
              StatusIs(kDenied, HasSubstr("path length")));
}

TEST_F(ChainTest, ReadsAllOfAText) {
  const std::string text = *leaf_.ToPem() + "junk between\n" + *issuing_.certificate.ToPem();
  ASSERT_OK_AND_ASSIGN(const auto chain, Certificate::ChainFromPem(text));
  ASSERT_EQ(chain.size(), 2U);
  EXPECT_EQ(chain[0].Serial(), leaf_.Serial());
  EXPECT_EQ(chain[1].Subject(), "issuing");
  EXPECT_THAT(Certificate::ChainFromPem(""), StatusIs(kInvalid));
  EXPECT_THAT(Certificate::ChainFromPem(text + "-----BEGIN CERTIFICATE-----\nAAAA\n"),
              StatusIs(kInvalid));
  std::string many;
  for (std::size_t i = 0; i <= Certificate::kMaxChain; ++i) many += *leaf_.ToPem();
  EXPECT_THAT(Certificate::ChainFromPem(many), StatusIs(kInvalid, HasSubstr("more than")));
}

TEST(PrivateKey, EncryptedOnesNeedTheirPassphrase) {
  const PrivateKey key = *PrivateKey::Generate();
  ASSERT_OK_AND_ASSIGN(const std::string pem, key.ToPem("correct horse"));
  EXPECT_EQ(*PrivateKey::FromPem(pem, "correct horse")->ToPem(), *key.ToPem());
  EXPECT_THAT(PrivateKey::FromPem(pem), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(PrivateKey::FromPem(pem, "wrong"), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(PrivateKey::FromPem("junk"), StatusIs(kInvalid));
}

}  // namespace
}  // namespace consilium
