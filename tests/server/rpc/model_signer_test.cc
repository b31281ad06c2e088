#include "server/rpc/model_signer.h"

#include <gmock/gmock.h>

#include "tests/server/round/coordinator_fixture.h"

namespace consilium {
namespace {

using testing::IsOk;

class ModelSignerTest : public CoordinatorTest {
 protected:
  void SetUp() override {
    CoordinatorTest::SetUp();
    ASSERT_OK_AND_ASSIGN(signer_,
                         ModelSigner::Open(folder_.path(), *registry_, *coordinator_, clock_));
    Enrol("site-a");
    run_ = Submit();
    DoNext();
  }
  void DoNext() {
    ASSERT_THAT(Do("site-a", **Wait("site-a")), IsOk());
    coordinator_->Work();
  }
  // The manifest's signature tells of all that it says.
  std::string Recent(int round) const {
    return signer_->RecentManifestOf(run_, round)->signature();
  }

  std::unique_ptr<ModelSigner> signer_;
  std::string run_;
};

TEST_F(ModelSignerTest, RecentManifestIsMadeAgainAfterASecond) {
  const std::string first = Recent(0);
  clock_.Advance(std::chrono::milliseconds(300));
  EXPECT_EQ(Recent(0), first);
  EXPECT_NE(signer_->ManifestOf(run_, 0)->signature(), first);
  clock_.Advance(std::chrono::seconds(1));
  EXPECT_NE(Recent(0), first);
}

TEST_F(ModelSignerTest, RecentManifestIsOfTheRoundThatWasAskedFor) {
  ASSERT_FALSE(Recent(0).empty());
  DoNext();
  ASSERT_OK_AND_ASSIGN(const v1::Signed recent, signer_->RecentManifestOf(run_, 1));
  v1::ModelManifest manifest;
  ASSERT_TRUE(manifest.ParseFromString(recent.statement()));
  EXPECT_EQ(manifest.round(), 1U);
  EXPECT_EQ(manifest.digest(), coordinator_->FindRun(run_)->models.at(1).digest);
  EXPECT_EQ(signer_->RecentManifestOf(run_, 2).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace consilium
