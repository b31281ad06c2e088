#include "server/check/check.h"

#include <gmock/gmock.h>

#include "common/audit/trail.h"
#include "common/base/file.h"
#include "common/config/plan.h"
#include "common/crypto/digest.h"
#include "server/store/blob_store.h"
#include "server/store/run_config.h"
#include "server/store/store.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::IsOk;
using testing::StatusIs;

// A coordinator's folder with a run in its second round.
class CheckTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(blobs_, BlobStore::Open(folder_.path()));
    ASSERT_OK_AND_ASSIGN(store_, Store::Open(folder_ / kDatabaseFile));
    run_ = {.id = "run-1", .plan = DefaultPlan().SerializeAsString()};
    run_.config = *ParseRunConfig(run_.plan);
    run_.status = RunStatus::kTraining;
    Save({.round = 0, .digest = Put("model 0"), .bytes = 7});
    run_.round = 2;
    run_.tasks = {{.id = "t",
                   .site = "north",
                   .round = 2,
                   .status = TaskStatus::kDone,
                   .result = {.blob_digest = Put("update"), .blob_bytes = 6}}};
    Save({.round = 1, .digest = Put("model 1"), .bytes = 7, .moments_digest = Put("moments")});
  }

  std::string Put(const std::string& text) {
    auto writer = *blobs_->Create();
    EXPECT_THAT(writer.Append(AsBytes(text)), IsOk());
    return *std::move(writer).Finish();
  }
  void Save(const ModelVersion& model) {
    run_.models.push_back(model);
    ASSERT_THAT(store_->SaveRun(run_), IsOk());
  }
  std::filesystem::path PathOf(const std::string& text) {
    return folder_ / ("blobs/" + Sha256Of(text));
  }
  std::vector<Finding> Findings() {
    const auto findings = CheckFolder(folder_.path());
    EXPECT_THAT(findings, IsOk());
    return findings.value_or(std::vector<Finding>());
  }

  testing::TempFolder folder_;
  std::optional<BlobStore> blobs_;
  std::unique_ptr<Store> store_;
  RunState run_;
};

TEST_F(CheckTest, SoundFolderHasNoFindings) { EXPECT_THAT(Findings(), IsEmpty()); }

TEST_F(CheckTest, MissingCutAndDamagedBlobsAreNamed) {
  std::filesystem::remove(PathOf("model 0"));
  ASSERT_THAT(WriteFileAtomically(PathOf("model 1"), "mod"), IsOk());
  ASSERT_THAT(WriteFileAtomically(PathOf("moments"), "momenta"), IsOk());
  ASSERT_THAT(WriteFileAtomically(PathOf("update"), "uqdate"), IsOk());
  EXPECT_THAT(Findings(),
              ElementsAre(Field(&Finding::what, HasSubstr("the model of round 0: cannot")),
                          Field(&Finding::what, HasSubstr("has 3 bytes, want 7")),
                          Field(&Finding::what, HasSubstr("the moments of the server's optimiser")),
                          AllOf(Field(&Finding::what, HasSubstr("the update of north for round 2")),
                                Field(&Finding::is_error, false))));
}

TEST_F(CheckTest, StateThatTheEngineNeverMakesIsNamed) {
  run_.status = RunStatus::kPaused;
  run_.round = 3;
  run_.tasks.push_back({.id = "open one", .site = "north", .round = 3});
  ASSERT_THAT(store_->SaveRun(run_), IsOk());
  EXPECT_THAT(Findings(), ElementsAre(Field(&Finding::what, HasSubstr("it has 2 global models")),
                                      Field(&Finding::what, HasSubstr("open one is open")),
                                      Field(&Finding::is_error, false)));
}

TEST_F(CheckTest, LeftoversAreWarnings) {
  Put("nobody's");
  ASSERT_THAT(blobs_->Continue(Sha256Of("x"), "run-1.r9.a.train"), IsOk());
  EXPECT_THAT(Findings(),
              ElementsAre(Field(&Finding::is_error, false), Field(&Finding::is_error, false)));
}

TEST_F(CheckTest, DamagedDatabaseIsAFindingAndNoCrash) {
  store_.reset();
  std::string bytes = *ReadFile(folder_ / kDatabaseFile);
  for (std::size_t i = 5000; i < bytes.size(); i += 97) bytes[i] ^= 0x55;
  ASSERT_THAT(WriteFileAtomically(folder_ / kDatabaseFile, bytes), IsOk());
  EXPECT_FALSE(Findings().empty());
  ASSERT_THAT(WriteFileAtomically(folder_ / kDatabaseFile, bytes.substr(0, 3000)), IsOk());
  EXPECT_FALSE(Findings().empty());
  ASSERT_THAT(WriteFileAtomically(folder_ / kDatabaseFile, "no database"), IsOk());
  EXPECT_FALSE(Findings().empty());
}

TEST(CheckFolder, FolderWithoutACoordinatorIsAnError) {
  const testing::TempFolder folder;
  EXPECT_THAT(CheckFolder(folder.path()), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(CheckTest, AuditTrailThatWasChangedIsAnError) {
  const SystemClock clock;
  ASSERT_THAT((*AuditTrail::Open(folder_ / kTrailFile, clock))->Append("started"), IsOk());
  EXPECT_THAT(Findings(), IsEmpty());
  std::string text = *ReadFile(folder_ / kTrailFile);
  text[20] ^= 1;
  ASSERT_THAT(WriteFileAtomically(folder_ / kTrailFile, text), IsOk());
  EXPECT_THAT(Findings(), ElementsAre(Field(&Finding::what, HasSubstr("audit.jsonl line 1"))));
}

}  // namespace
}  // namespace consilium
