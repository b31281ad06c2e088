#include "certs/model_manifest.h"

#include <gmock/gmock.h>

#include "certs/authority.h"
#include "common/base/file.h"
#include "common/crypto/digest.h"
#include "common/wire/convert.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/small_model.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

constexpr auto kDenied = absl::StatusCode::kPermissionDenied;
const Identity kCoordinator = {"lungs", Role::kCoordinator, "coordinator"};

class ModelManifestTest : public ::testing::Test {
 protected:
  ModelManifestTest() {
    manifest_.set_federation("lungs");
    manifest_.set_run_id("run-1");
    manifest_.set_round(3);
    manifest_.set_digest(Sha256Of(model_));
    manifest_.set_size_bytes(model_.size());
    *manifest_.mutable_model() = ToProto(testing::SmallSpec());
    manifest_.set_signed_unix_ms(ToUnixMillis(clock_.Now()));
  }

  Signer NewSigner(const Authority& authority, const Identity& identity = kCoordinator) const {
    const PrivateKey key = *PrivateKey::GenerateEd25519();
    return {key, *authority.IssueSigner(key, identity, clock_.Now())};
  }
  v1::Signed Sign() const { return *SignManifest(manifest_, signer_); }
  StatusOr<v1::ModelManifest> Verify(const v1::Signed& statement) const {
    return VerifyManifest(statement, authority_.root(), clock_.Now());
  }

  testing::TempFolder folder_;
  testing::FakeClock clock_;
  Authority authority_ = *Authority::Create(folder_ / "ca", "lungs", clock_.Now());
  Signer signer_ = NewSigner(authority_);
  std::string model_ = testing::EncodeFile({testing::SmallSpec(), {.run = "run-1", .round = 3}},
                                           testing::RandomState(testing::SmallLayout(), 1));
  v1::ModelManifest manifest_;
};

TEST_F(ModelManifestTest, WhatTheCoordinatorSignedIsBelieved) {
  ASSERT_OK_AND_ASSIGN(const v1::ModelManifest manifest, Verify(Sign()));
  EXPECT_EQ(manifest.SerializeAsString(), manifest_.SerializeAsString());
  EXPECT_THAT(CheckModelFile(manifest, AsBytes(model_)), IsOk());
}

TEST_F(ModelManifestTest, EveryByteOfStatementAndSignatureThatIsFlippedIsFound) {
  const v1::Signed good = Sign();
  for (std::size_t i = 0; i < good.statement().size(); ++i) {
    v1::Signed harmed = good;
    (*harmed.mutable_statement())[i] ^= 1;
    EXPECT_FALSE(Verify(harmed).ok()) << "statement byte " << i;
  }
  for (std::size_t i = 0; i < good.signature().size(); ++i) {
    v1::Signed harmed = good;
    (*harmed.mutable_signature())[i] ^= 1;
    EXPECT_THAT(Verify(harmed), StatusIs(kDenied, HasSubstr("signature"))) << "byte " << i;
  }
}

TEST_F(ModelManifestTest, EveryByteOfTheModelThatIsFlippedIsFound) {
  for (std::size_t i = 0; i < model_.size(); ++i) {
    std::string harmed = model_;
    harmed[i] ^= 1;
    EXPECT_THAT(CheckModelFile(manifest_, AsBytes(harmed)), StatusIs(absl::StatusCode::kDataLoss))
        << i;
  }
  EXPECT_THAT(CheckModelFile(manifest_, AsBytes(model_ + "x")),
              StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(ModelManifestTest, NobodyElseSignsModels) {
  // Another federation's coordinator, with the same names.
  const Authority other = *Authority::Create(folder_ / "other", "lungs", clock_.Now());
  signer_ = NewSigner(other);
  EXPECT_THAT(Verify(Sign()), StatusIs(kDenied, HasSubstr("not trusted")));
  // A hospital with its own key, which is one for TLS.
  const PrivateKey key = *PrivateKey::Generate();
  const Identity hospital = {"lungs", Role::kHospital, "north"};
  signer_ = {key, *authority_.IssueClient(key, hospital, clock_.Now())};
  EXPECT_THAT(Verify(Sign()), StatusIs(kDenied, HasSubstr("not one for signing")));
  // The coordinator's TLS key.
  signer_ = {key, *authority_.IssueServer(key, kCoordinator, "localhost", clock_.Now())};
  EXPECT_THAT(Verify(Sign()), StatusIs(kDenied, HasSubstr("not one for signing")));
  // A certificate for signing that is another's.
  signer_ = NewSigner(authority_, hospital);
  EXPECT_THAT(Verify(Sign()), StatusIs(kDenied, HasSubstr("not by its coordinator")));
  // Somebody who shows the coordinator's certificate without its key.
  Signer thief = NewSigner(authority_);
  thief.key = *PrivateKey::GenerateEd25519();
  signer_ = thief;
  EXPECT_THAT(Verify(Sign()), StatusIs(kDenied, HasSubstr("signature")));
}

TEST_F(ModelManifestTest, SignatureOfAnotherKindOfStatementIsNoManifests) {
  const v1::Signed head = *SignStatement(kTrailHead, manifest_.SerializeAsString(), signer_);
  EXPECT_THAT(Verify(head), StatusIs(kDenied, HasSubstr("signature")));
}

TEST_F(ModelManifestTest, CertificateCountsAtTheTimeOfSigning) {
  const v1::Signed signed_now = Sign();
  clock_.Advance(std::chrono::days(400));  // the certificate has ended since
  EXPECT_THAT(Verify(signed_now), IsOk());
  manifest_.set_signed_unix_ms(ToUnixMillis(clock_.Now()));
  EXPECT_THAT(Verify(Sign()), StatusIs(kDenied, HasSubstr("expired")));
}

TEST_F(ModelManifestTest, ManifestFromTheFutureIsRefused) {
  manifest_.set_signed_unix_ms(ToUnixMillis(clock_.Now() + std::chrono::days(30)));
  EXPECT_THAT(Verify(Sign()), StatusIs(kDenied, HasSubstr("future")));
}

TEST_F(ModelManifestTest, ManifestOfAnotherRunRoundOrModelIsNotThisOnes) {
  v1::ModelRef model;
  model.set_run_id("run-1");
  model.set_round(3);
  model.set_digest(manifest_.digest());
  EXPECT_THAT(CheckManifestIsOf(manifest_, model), IsOk());
  model.set_round(4);
  EXPECT_THAT(CheckManifestIsOf(manifest_, model), StatusIs(kDenied));
  model.set_round(3);
  model.set_run_id("run-2");
  EXPECT_THAT(CheckManifestIsOf(manifest_, model), StatusIs(kDenied));
  model.set_run_id("run-1");
  model.set_digest(std::string(64, 'a'));
  EXPECT_THAT(CheckManifestIsOf(manifest_, model), StatusIs(kDenied));
}

TEST_F(ModelManifestTest, NetworkMustBeTheManifests) {
  manifest_.mutable_model()->set_mean(0.4);
  EXPECT_THAT(CheckModelFile(manifest_, AsBytes(model_)), StatusIs(testing::kInvalid));
}

TEST_F(ModelManifestTest, FileIsVerifiedByTheManifestOfItsBytes) {
  const auto path = folder_ / "m.safetensors";
  ASSERT_THAT(WriteFileAtomically(path, model_), IsOk());
  EXPECT_THAT(VerifyModelFile(path, authority_.root(), clock_.Now()),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr(manifest_.digest())));
  ASSERT_THAT(WriteManifest(folder_ / "", manifest_.digest(), Sign()), IsOk());
  ASSERT_OK_AND_ASSIGN(const v1::ModelManifest manifest,
                       VerifyModelFile(path, authority_.root(), clock_.Now()));
  EXPECT_EQ(manifest.round(), 3U);
  ASSERT_THAT(WriteFileAtomically(folder_ / (manifest_.digest() + ".manifest"), "\xff\xff"),
              IsOk());
  EXPECT_FALSE(VerifyModelFile(path, authority_.root(), clock_.Now()).ok());
}

}  // namespace
}  // namespace consilium
