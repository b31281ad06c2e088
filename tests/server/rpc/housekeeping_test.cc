#include "server/rpc/housekeeping.h"

#include <gmock/gmock.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <optional>
#include <sstream>

#include "common/base/file.h"
#include "common/crypto/issue.h"
#include "tests/server/round/coordinator_fixture.h"

namespace consilium {
namespace {

using std::chrono::days;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using ::testing::Not;

// What the coordinator shows and signs with, in its folder, and what is logged.
class HousekeepingTest : public CoordinatorTest {
 protected:
  HousekeepingTest() {
    spdlog::set_default_logger(std::make_shared<spdlog::logger>(
        "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(said_)));
  }
  ~HousekeepingTest() override { spdlog::set_default_logger(before_); }

  void SetUp() override {
    CoordinatorTest::SetUp();
    const ServerOptions options{.federation = "lungs", .host = "127.0.0.1"};
    ASSERT_OK_AND_ASSIGN(signer_,
                         ModelSigner::Open(folder_.path(), *registry_, *coordinator_, clock_));
    ASSERT_OK_AND_ASSIGN(identity_,
                         ServerIdentity::Open(folder_.path(), options, *registry_, clock_.Now()));
    housekeeping_.emplace(folder_.path(), *registry_, *identity_, *signer_);
  }

  // What is logged while it works once.
  std::string Work() {
    said_.str("");
    housekeeping_->Work(clock_.Now());
    return said_.str();
  }
  void Join(const std::string& site) {
    const auto invitation = registry_->Invite(site, Role::kHospital, "boss");
    ASSERT_THAT(invitation, IsOk());
    const PrivateKey key = *PrivateKey::Generate();
    ASSERT_THAT(registry_->Join(invitation->token, *SigningRequest::Create(key)), IsOk());
  }
  std::string PublishedList() const { return *ReadFile(folder_ / "ca/crl.pem"); }

  std::ostringstream said_;
  std::shared_ptr<spdlog::logger> before_ = spdlog::default_logger();
  std::unique_ptr<ModelSigner> signer_;
  std::unique_ptr<ServerIdentity> identity_;
  std::optional<Housekeeping> housekeeping_;
};

TEST_F(HousekeepingTest, RevocationListIsPublishedWhenItChangesAndOnceADay) {
  Join("north");
  Work();
  const std::string none = PublishedList();
  clock_.Advance(std::chrono::minutes(1));
  Work();
  EXPECT_EQ(PublishedList(), none);
  ASSERT_THAT(registry_->Revoke("north", "boss"), IsOk());
  clock_.Advance(std::chrono::minutes(1));
  Work();
  const std::string one = PublishedList();
  EXPECT_GT(one.size(), none.size());
  clock_.Advance(days(1));
  Work();
  EXPECT_NE(PublishedList(), one);  // of the same certificates, and good for longer
}

TEST_F(HousekeepingTest, WarnsOfAMembersCertificate60And30And7DaysBeforeItsEnd) {
  Join("north");
  // An hour before the days are full, for the clock goes on by itself.
  clock_.Advance(Authority::kCertificateValidity - days(65) - std::chrono::hours(1));
  std::vector<int> days_left;
  for (int left = 64; left >= 0; --left) {
    clock_.Advance(days(1));
    if (Work().find("hospital 'north'") != std::string::npos) days_left.push_back(left);
  }
  EXPECT_THAT(days_left, ElementsAre(60, 30, 7, 6, 5, 4, 3, 2, 1, 0));
}

TEST_F(HousekeepingTest, DoesNotWarnOfAMemberThatIsRevoked) {
  Join("north");
  ASSERT_THAT(registry_->Revoke("north", "boss"), IsOk());
  clock_.Advance(Authority::kCertificateValidity - days(5));
  EXPECT_THAT(Work(), Not(HasSubstr("north")));
}

TEST_F(HousekeepingTest, RenewsWhatTheCoordinatorShowsAndSignsWith) {
  const auto serial_of_signer = [&] {
    return Certificate::ChainFromPem(signer_->signer().chain_pem)->front().Serial();
  };
  Work();
  const std::string identity = *ReadFile(identity_->identity_file());
  const std::string signer = serial_of_signer();
  clock_.Advance(Authority::kCertificateValidity * 2 / 3 + days(1));
  Work();
  EXPECT_NE(*ReadFile(identity_->identity_file()), identity);
  EXPECT_NE(serial_of_signer(), signer);
}

// A complaint that stays the same is made once, and again once it had gone.
TEST_F(HousekeepingTest, ComplainsOnceOfWhatStaysWrong) {
  Work();
  const auto list = folder_ / "ca/crl.pem";
  const auto look = [&] {
    clock_.Advance(days(1));
    return Work();
  };
  std::filesystem::remove(list);
  std::filesystem::create_directories(list / "in the way");
  EXPECT_THAT(look(), HasSubstr("the revocation list"));
  EXPECT_THAT(look(), Not(HasSubstr("the revocation list")));
  std::filesystem::remove_all(list);
  EXPECT_THAT(look(), Not(HasSubstr("the revocation list")));
  std::filesystem::remove(list);
  std::filesystem::create_directories(list / "in the way");
  EXPECT_THAT(look(), HasSubstr("the revocation list"));
}

}  // namespace
}  // namespace consilium
