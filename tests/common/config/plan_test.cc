#include "common/config/plan.h"

#include <gmock/gmock.h>

#include "common/base/file.h"
#include "common/config/site.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::kInvalid;
using testing::StatusIs;

class PlanTest : public ::testing::Test {
 protected:
  StatusOr<v1::RunPlan> Read(const std::string& text) {
    EXPECT_THAT(WriteFileAtomically(folder_ / "plan.yaml", text), IsOk());
    return ReadPlan(folder_ / "plan.yaml");
  }
  testing::TempFolder folder_;
};

TEST_F(PlanTest, EmptyFileIsTheDefaults) {
  ASSERT_OK_AND_ASSIGN(const v1::RunPlan plan, Read(""));
  EXPECT_EQ(plan.SerializeAsString(), DefaultPlan().SerializeAsString());
}

TEST_F(PlanTest, FieldsReplaceDefaultsAtAnyDepth) {
  ASSERT_OK_AND_ASSIGN(const v1::RunPlan plan, Read("rounds: 3\n"
                                                    "model: {classes: [b, a], channels: 3}\n"
                                                    "training:\n"
                                                    "  augmentation: {horizontal_flip: true}\n"));
  EXPECT_EQ(plan.rounds(), 3U);
  EXPECT_THAT(plan.model().classes(), ElementsAre("b", "a"));
  EXPECT_EQ(plan.model().architecture(), "resnet18");
  EXPECT_TRUE(plan.training().augmentation().horizontal_flip());
  EXPECT_EQ(plan.training().batch_size(), 16U);
}

TEST_F(PlanTest, UnknownFieldIsNamedWithItsLine) {
  EXPECT_THAT(Read("rounds: 3\ntraining:\n  learnig_rate: 0.1\n"),
              StatusIs(kInvalid, AllOf(HasSubstr("plan.yaml:3"), HasSubstr("learnig_rate"),
                                       HasSubstr("learning_rate"))));
}

TEST_F(PlanTest, TextThatIsNotUtf8IsNamedWithItsLine) {
  EXPECT_THAT(Read("rounds: 3\nmodel: {classes: [\xffovid, normal]}\n"),
              StatusIs(kInvalid, HasSubstr("plan.yaml:2: not UTF-8")));
}

TEST_F(PlanTest, WrongTypesAreNamedWithTheirLine) {
  EXPECT_THAT(Read("rounds: many\n"), StatusIs(kInvalid, HasSubstr("plan.yaml:1: 'rounds'")));
  EXPECT_THAT(Read("rounds: -1\n"), StatusIs(kInvalid, HasSubstr("at least 0")));
  EXPECT_THAT(Read("rounds: [1]\n"), StatusIs(kInvalid, HasSubstr("one value")));
  EXPECT_THAT(Read("model: 7\n"), StatusIs(kInvalid));
  EXPECT_THAT(Read("model: {classes: a}\n"), StatusIs(kInvalid, HasSubstr("list")));
  EXPECT_THAT(Read("rounds: 1\nrounds: 2\n"), StatusIs(kInvalid, HasSubstr("twice")));
  EXPECT_THAT(Read("rounds: {\n"), StatusIs(kInvalid, HasSubstr("plan.yaml:")));
  EXPECT_THAT(Read("- a\n- b\n"), StatusIs(kInvalid));
}

TEST_F(PlanTest, ValuesOutOfRangeNameTheField) {
  for (const auto& [text, field] : std::vector<std::pair<std::string, std::string>>{
           {"rounds: 0", "rounds"},
           {"quorum: {fraction: 1.5}", "quorum"},
           {"quorum: {fraction: .nan}", "quorum"},
           {"training: {learning_rate: 0}", "learning_rate"},
           {"training: {learning_rate: .nan}", "learning_rate"},
           {"training: {optimizer: lion}", "optimizer"},
           {"training: {schedule: square}", "schedule"},
           {"training: {class_weights: some}", "class_weights"},
           {"training: {batch_size: 100000}", "batch_size"},
           {"training: {local_epochs: 0}", "local_epochs"},
           {"model: {channels: 2}", "channels"},
           {"round_deadline_seconds: 0", "round_deadline_seconds"}}) {
    EXPECT_THAT(Read(text), StatusIs(kInvalid, HasSubstr(field))) << text;
  }
}

TEST(SiteConfig, NewFileReadsBackWithItsData) {
  const testing::TempFolder folder;
  ASSERT_THAT(WriteFileAtomically(folder / "site.yaml", NewSiteYaml("/data/my images", 3)), IsOk());
  ASSERT_OK_AND_ASSIGN(const v1::SiteConfig site, ReadSite(folder / "site.yaml"));
  EXPECT_EQ(site.data().path(), "/data/my images");
  EXPECT_EQ(site.threads(), 3U);
  EXPECT_EQ(site.data().validation_fraction(), 0.2);
}

TEST(SiteConfig, WrongDeviceIsRefused) {
  const testing::TempFolder folder;
  ASSERT_THAT(WriteFileAtomically(folder / "site.yaml", "device: abacus"), IsOk());
  EXPECT_THAT(ReadSite(folder / "site.yaml"), StatusIs(kInvalid, HasSubstr("abacus")));
}

}  // namespace
}  // namespace consilium
