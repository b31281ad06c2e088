#include "server/admission/admission.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "tests/testing/small_model.h"
#include "tests/testing/status_matchers.h"

namespace consilium {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::kInvalid;
using testing::StatusIs;

class AdmissionTest : public ::testing::Test {
 protected:
  StatusOr<double> Check(double max_norm = 0) {
    const std::string bytes = testing::EncodeFile(info_, state_);
    const std::string base = testing::EncodeFile({testing::SmallSpec(), {}}, base_);
    return CheckUpdate(
        AsBytes(bytes), AsBytes(base),
        {.run = "run-1", .round = 2, .base_digest = kBase, .stages = stages_, .rounds = 4},
        max_norm);
  }

  const std::string kBase = std::string(64, 'b');
  std::vector<Stage> stages_;
  ModelState base_ = testing::RandomState(testing::SmallLayout(), 9);
  ModelInfo info_ = {.spec = testing::SmallSpec(),
                     .provenance = {.run = "run-1", .round = 2, .parent_digest = kBase}};
  ModelState state_ = testing::RandomState(testing::SmallLayout(), 1);
};

TEST_F(AdmissionTest, GoodUpdateIsAdmitted) { EXPECT_THAT(Check(), IsOk()); }

TEST_F(AdmissionTest, NormIsThatOfTheChangeInTheParameters) {
  state_.values = base_.values;
  EXPECT_EQ(*Check(), 0);
  state_.tensor(0)[0] += 3;
  state_.tensor(0)[7] -= 4;
  state_.tensor(1)[0] += 1000;  // a buffer, and a counter
  state_.tensor(2)[0] += 1000;
  ASSERT_OK_AND_ASSIGN(const double norm, Check());
  EXPECT_NEAR(norm, 5, 1e-5);
}

TEST_F(AdmissionTest, UpdateBeyondThePlansNormIsRefused) {
  state_.values = base_.values;
  state_.tensor(0)[0] += 3;
  EXPECT_THAT(Check(3.1), IsOk());
  EXPECT_THAT(Check(2.9), StatusIs(kInvalid, HasSubstr("its norm is 3, the plan allows 2.9")));
  state_.tensor(0)[0] = std::numeric_limits<float>::max();
  EXPECT_THAT(Check(1e12), StatusIs(kInvalid, HasSubstr("norm")));
}

TEST_F(AdmissionTest, UpdateOfAnotherRoundRunOrModelIsRefused) {
  info_.provenance.round = 1;
  EXPECT_THAT(Check(), StatusIs(kInvalid, HasSubstr("round 1")));
  info_.provenance = {.run = "run-2", .round = 2, .parent_digest = kBase};
  EXPECT_THAT(Check(), StatusIs(kInvalid, HasSubstr("run-2")));
  info_.provenance = {.run = "run-1", .round = 2, .parent_digest = std::string(64, 'c')};
  EXPECT_THAT(Check(), StatusIs(kInvalid, HasSubstr("ccc")));
}

TEST_F(AdmissionTest, AnotherNetworkIsRefused) {
  info_.spec.architecture = "vgg16";
  EXPECT_THAT(Check(), StatusIs(kInvalid, HasSubstr("'vgg16'")));
  info_.spec = testing::SmallSpec();
  info_.spec.classes = {"normal", "covid", "pneumonia"};
  EXPECT_THAT(Check(), StatusIs(kInvalid, HasSubstr("classes")));
  info_.spec = testing::SmallSpec();
  info_.spec.mean = 0.4;
  EXPECT_THAT(Check(), StatusIs(kInvalid, HasSubstr("mean 0.4")));
}

TEST_F(AdmissionTest, UpdateHasNoneOfTheTensorsThatAreFrozen) {
  stages_ = {{.tensors = {"bn"}, .frozen = 0.5}};
  EXPECT_THAT(Check(), StatusIs(kInvalid, HasSubstr("bn.running_mean")));
  const ModelState whole = state_;
  state_ = PartOf(whole, {true, false, false, true});
  EXPECT_THAT(Check(), IsOk());
  stages_[0].frozen = 0.25;  // for the first of the four rounds
  EXPECT_THAT(Check(), StatusIs(kInvalid, HasSubstr("bn.running_mean")));
}

TEST_F(AdmissionTest, AnotherLayoutIsRefusedByTensor) {
  state_ = testing::RandomState(*Layout::Create({{"conv.weight", {4, 3, 4}}}), 1);
  EXPECT_THAT(Check(), StatusIs(kInvalid, HasSubstr("conv.weight has shape [4, 3, 4]")));
}

TEST_F(AdmissionTest, ValuesThatAreNotFiniteAreRefusedAnywhere) {
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity()}) {
    for (const std::size_t at :
         {std::size_t{0}, state_.values.size() / 2, state_.values.size() - 1}) {
      state_ = testing::RandomState(testing::SmallLayout(), 1);
      state_.values[at] = bad;
      EXPECT_THAT(Check(), StatusIs(kInvalid, HasSubstr("NaN")));
    }
  }
  state_ = testing::RandomState(testing::SmallLayout(), 1);
  state_.values[0] = std::numeric_limits<float>::max();
  EXPECT_THAT(Check(), IsOk());
}

TEST_F(AdmissionTest, InitialModelMustBeThePlans) {
  const std::string bytes = testing::EncodeFile(info_, state_);
  EXPECT_THAT(CheckInitialModel(AsBytes(bytes), testing::SmallSpec()), IsOk());
  ModelSpec other = testing::SmallSpec();
  other.input_size = 64;
  EXPECT_THAT(CheckInitialModel(AsBytes(bytes), other), StatusIs(kInvalid, HasSubstr("64x64")));
  EXPECT_THAT(CheckInitialModel(AsBytes("junk"), other), StatusIs(kInvalid));
}

}  // namespace
}  // namespace consilium
