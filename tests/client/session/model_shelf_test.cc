#include "client/session/model_shelf.h"

#include <gmock/gmock.h>

#include "certs/authority.h"
#include "certs/home.h"
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

class ModelShelfTest : public ::testing::Test {
 protected:
  ModelShelfTest() {
    EXPECT_THAT(WriteFileAtomically(folder_ / kRootFile, authority_.root_pem()), IsOk());
  }
  ModelShelf Shelf(bool accept_unsigned = false) {
    return *ModelShelf::Open(folder_ / "", accept_unsigned);
  }
  // Puts the model of a round into use, with its manifest or without.
  void Install(int round, bool with_manifest = true) {
    const ModelShelf shelf = Shelf();
    const std::string bytes =
        testing::EncodeFile({testing::SmallSpec(), {.run = "r", .round = round}},
                            testing::RandomState(testing::SmallLayout(), 1));
    if (with_manifest) {
      const PrivateKey key = *PrivateKey::GenerateEd25519();
      v1::ModelManifest manifest;
      manifest.set_federation("lungs");
      manifest.set_digest(Sha256Of(bytes));
      manifest.set_size_bytes(bytes.size());
      *manifest.mutable_model() = ToProto(testing::SmallSpec());
      manifest.set_signed_unix_ms(ToUnixMillis(clock_.Now()));
      const std::string chain =
          *authority_.IssueSigner(key, {"lungs", Role::kCoordinator, "coordinator"}, clock_.Now());
      ASSERT_THAT(
          WriteManifest(shelf.folder(), manifest.digest(), *SignManifest(manifest, {key, chain})),
          IsOk());
    }
    const auto fresh = shelf.folder() / "fresh";
    ASSERT_THAT(WriteFileAtomically(fresh, bytes), IsOk());
    ASSERT_THAT(shelf.Install(fresh), IsOk());
  }
  int RoundInUse() {
    const auto model = Shelf().ReadCurrent(clock_.Now());
    EXPECT_THAT(model, IsOk());
    return model.ok() ? model->info.provenance.round : -1;
  }

  testing::TempFolder folder_;
  testing::FakeClock clock_;
  Authority authority_ = *Authority::Create(folder_ / "ca", "lungs", clock_.Now());
};

TEST_F(ModelShelfTest, NewModelIsUsedAndTheFormerOneComesBack) {
  EXPECT_THAT(Shelf().ReadCurrent(clock_.Now()),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("pull")));
  Install(1);
  EXPECT_EQ(RoundInUse(), 1);
  EXPECT_THAT(Shelf().ReadFormer(clock_.Now()), StatusIs(absl::StatusCode::kNotFound));
  Install(2);
  EXPECT_EQ(RoundInUse(), 2);
  ASSERT_THAT(Shelf().Rollback(), IsOk());
  EXPECT_EQ(RoundInUse(), 1);
  ASSERT_THAT(Shelf().Rollback(), IsOk());
  EXPECT_EQ(RoundInUse(), 2);
}

TEST_F(ModelShelfTest, FormerModelIsCheckedAsTheOneInUseIs) {
  Install(1);
  Install(2);
  ASSERT_OK_AND_ASSIGN(const Model former, Shelf().ReadFormer(clock_.Now()));
  EXPECT_EQ(former.info.provenance.round, 1);
  std::string bytes = *ReadFile(Shelf().former());
  bytes.back() ^= 1;
  ASSERT_THAT(WriteFileAtomically(Shelf().former(), bytes), IsOk());
  EXPECT_FALSE(Shelf().ReadFormer(clock_.Now()).ok());
  EXPECT_EQ(RoundInUse(), 2);
}

TEST_F(ModelShelfTest, ModelThatNobodyAnswersForIsNotRead) {
  Install(1, /*with_manifest=*/false);
  EXPECT_THAT(Shelf().ReadCurrent(clock_.Now()), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(Shelf(/*accept_unsigned=*/true).ReadCurrent(clock_.Now()), IsOk());
}

TEST_F(ModelShelfTest, ModelThatWasChangedIsNotReadEvenWhereUnsignedOnesAre) {
  Install(1);
  const ModelShelf shelf = Shelf(/*accept_unsigned=*/true);
  for (const auto& file : std::filesystem::directory_iterator(shelf.folder())) {
    if (file.path().extension() != ".manifest") continue;
    std::string bytes = *ReadFile(file.path());
    bytes[bytes.size() / 3] ^= 1;
    ASSERT_THAT(WriteFileAtomically(file.path(), bytes), IsOk());
  }
  EXPECT_FALSE(shelf.ReadCurrent(clock_.Now()).ok());
}

TEST_F(ModelShelfTest, ManifestsOfModelsThatAreGoneGoToo) {
  for (int round = 1; round <= 3; ++round) Install(round);
  const auto manifests = [&] {
    int count = 0;
    for (const auto& file : std::filesystem::directory_iterator(Shelf().folder())) {
      count += file.path().extension() == ".manifest" ? 1 : 0;
    }
    return count;
  };
  EXPECT_EQ(manifests(), 3);
  ASSERT_THAT(Shelf().RemoveOtherManifests(), IsOk());
  EXPECT_EQ(manifests(), 2);
  EXPECT_EQ(RoundInUse(), 3);
  ASSERT_THAT(Shelf().Rollback(), IsOk());
  EXPECT_EQ(RoundInUse(), 2);
}

TEST_F(ModelShelfTest, FolderOfNobodyIsRefused) {
  EXPECT_THAT(ModelShelf::Open(folder_ / "nobody", false),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

}  // namespace
}  // namespace consilium
