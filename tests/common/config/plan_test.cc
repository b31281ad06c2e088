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

TEST_F(PlanTest, StagesAreAListOfTheirOwnFields) {
  ASSERT_OK_AND_ASSIGN(
      const v1::RunPlan plan,
      Read("training:\n  stages:\n    - {tensors: [conv1, bn1], rate: 0.1, frozen: 0.5}\n"
           "    - {tensors: [layer1]}\n"));
  ASSERT_EQ(plan.training().stages_size(), 2);
  EXPECT_EQ(plan.training().stages(0).tensors(1), "bn1");
  EXPECT_EQ(plan.training().stages(0).rate(), 0.1);
  EXPECT_EQ(plan.training().stages(0).frozen(), 0.5);
  EXPECT_FALSE(plan.training().stages(1).has_rate());
  EXPECT_THAT(Read("training: {stages: [{tensors: [fc], freeze: 1}]}"),
              StatusIs(kInvalid, HasSubstr("unknown field 'freeze'")));
  EXPECT_THAT(Read("training: {stages: [fc]}"), StatusIs(kInvalid, HasSubstr("lines")));
}

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
              StatusIs(kInvalid, HasSubstr("plan.yaml:2: 'classes' is not UTF-8")));
  EXPECT_THAT(Read("rounds: 3\nname: a\xff\n"),
              StatusIs(kInvalid, HasSubstr("plan.yaml:2: 'name' is not UTF-8")));
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
           {"training: {loss: hinge}", "loss"},
           {"training: {label_smoothing: 1}", "label_smoothing"},
           {"training: {loss: focal, label_smoothing: 0.1}", "label_smoothing"},
           {"training: {focal_gamma: -1}", "focal_gamma"},
           {"training: {sampler: lottery}", "sampler"},
           {"training: {sampler: class_balanced}", "class_weights none"},
           {"training: {ema_decay: 1}", "ema_decay"},
           {"training: {batch_size: 16, micro_batch_size: 5}", "divisor of batch_size"},
           {"training: {micro_batch_size: 1}", "micro_batch_size"},
           {"training: {class_counts: everybody}", "class_counts"},
           {"training: {class_counts: federated, class_weights: none}", "class_counts"},
           {"training: {stages: [{frozen: 1}]}", "to name tensors"},
           {"training: {stages: [{tensors: [fc], frozen: 1.5}]}", "stages.frozen"},
           {"training: {stages: [{tensors: [fc], rate: 0}]}", "stages.rate"},
           {"{late_updates: next_round, training: {stages: [{tensors: [fc], frozen: 1}]}}",
            "late_updates drop"},
           {"{strategy: {name: scaffold}, training: {optimizer: lamb}}", "scaffold"},
           {"{strategy: {name: scaffold}, late_updates: next_round}", "late_updates drop"},
           {"{strategy: {name: scaffold}, training: {stages: [{tensors: [fc], rate: 2}]}}",
            "no training.stages"},
           {"{strategy: {name: fednova}, training: {ema_decay: 0.9}}", "ema_decay"},
           {"strategy: {name: fedmagic}", "strategy.name"},
           {"encoding: {update: int4}", "encoding.update"},
           {"encoding: {update: top_k}", "top_k"},
           {"encoding: {model: top_k}", "encoding.model"},
           {"encoding: {update: int8, top_k: 0.1}", "top_k"},
           {"encoding: {update: top_k, top_k: 0.6}", "encoding.top_k"},
           {"{strategy: {name: scaffold}, encoding: {update: int8}}", "scaffold"},
           {"{encoding: {update: top_k, top_k: 0.1}, "
            "training: {stages: [{tensors: [fc], frozen: 1}]}}",
            "frozen"},
           {"strategy: {name: fedprox}", "proximal_mu"},
           {"strategy: {proximal_mu: 0.1}", "fedprox"},
           {"strategy: {name: fedadam}", "server_learning_rate"},
           {"{strategy: {name: fednova}, training: {optimizer: adamw}}", "fednova"},
           {"strategy: {server_learning_rate: 1}", "server_learning_rate"},
           {"strategy: {name: fedyogi, server_learning_rate: 0.1, server_tau: 0}", "server_tau"},
           {"strategy: {name: fedavgm, server_learning_rate: 1, server_momentum: 1}",
            "server_momentum"},
           {"training: {local_epochs: 0}", "local_epochs"},
           {"model: {architecture: unet}", "elsewhere, lung, opacity"},
           {"model: {architecture: unet, input_size: 100, classes: [elsewhere, lung, opacity]}",
            "multiple of 16"},
           {"model: {architecture: unet, classes: [elsewhere, lung, opacity]}",
            "class_weights none"},
           {"{model: {architecture: unet, classes: [elsewhere, lung, opacity]}, "
            "training: {class_weights: none, mixup_alpha: 0.2}}",
            "mixup_alpha"},
           {"model: {channels: 2}", "channels"},
           {"round_deadline_seconds: 0", "round_deadline_seconds"}}) {
    EXPECT_THAT(Read(text), StatusIs(kInvalid, HasSubstr(field))) << text;
  }
}

TEST_F(PlanTest, MethodsThatAreNamedGetTheirUsualNumbers) {
  ASSERT_OK_AND_ASSIGN(v1::RunPlan plan,
                       Read("training: {loss: focal}\n"
                            "strategy: {name: fedadam, server_learning_rate: 0.1, "
                            "server_beta2: 0.9}\n"));
  EXPECT_EQ(plan.training().focal_gamma(), 2);
  EXPECT_EQ(plan.strategy().server_momentum(), 0.9);
  EXPECT_EQ(plan.strategy().server_beta2(), 0.9);
  EXPECT_EQ(plan.strategy().server_tau(), 1e-3);
  ASSERT_OK_AND_ASSIGN(plan, Read("strategy: {name: fedadagrad, server_learning_rate: 0.1}"));
  EXPECT_EQ(plan.strategy().server_momentum(), 0);
  // What names none is as short as it was: versions that know none of it do it.
  ASSERT_OK_AND_ASSIGN(plan, Read("rounds: 3"));
  EXPECT_FALSE(plan.has_strategy());
  EXPECT_FALSE(plan.training().has_focal_gamma());
}

TEST_F(PlanTest, PlanOfANewerVersionIsNotDoneInPart) {
  v1::RunPlan plan = DefaultPlan();
  ASSERT_THAT(CheckPlan(plan), IsOk());
  plan.mutable_training()
      ->GetReflection()
      ->MutableUnknownFields(plan.mutable_training())
      ->AddVarint(900, 1);
  EXPECT_THAT(CheckPlan(plan), StatusIs(kInvalid, HasSubstr("newer")));
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
  ASSERT_THAT(WriteFileAtomically(folder / "site.yaml", "precision: rough"), IsOk());
  EXPECT_THAT(ReadSite(folder / "site.yaml"), StatusIs(kInvalid, HasSubstr("rough")));
}

}  // namespace
}  // namespace consilium
