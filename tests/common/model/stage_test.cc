#include "common/model/stage.h"

#include <gmock/gmock.h>

#include "tests/testing/small_model.h"
#include "tests/testing/status_matchers.h"

namespace consilium {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::kInvalid;
using testing::StatusIs;

// conv.weight, bn.running_mean, bn.num_batches_tracked, head.weight.
class StageTest : public ::testing::Test {
 protected:
  const std::shared_ptr<const Layout> layout_ = testing::SmallLayout();
};

TEST_F(StageTest, IsFrozenForItsShareOfTheRun) {
  const std::vector<Stage> stages = {{.tensors = {"conv", "bn"}, .rate = 0.1, .frozen = 0.5}};
  EXPECT_THAT(StageRates(*layout_, stages, 1, 4), ElementsAre(0, 0, 0, 1));
  EXPECT_THAT(FrozenTensors(*layout_, stages, 2, 4), ElementsAre(true, true, true, false));
  EXPECT_THAT(StageRates(*layout_, stages, 3, 4), ElementsAre(0.1, 0.1, 0.1, 1));
  EXPECT_THAT(FrozenTensors(*layout_, stages, 3, 4), ElementsAre(false, false, false, false));
}

TEST_F(StageTest, FirstStageThatNamesATensorHasIt) {
  const std::vector<Stage> stages = {{.tensors = {"bn.running_mean"}, .rate = 2},
                                     {.tensors = {"bn", "head.weight"}, .frozen = 1}};
  EXPECT_THAT(StageRates(*layout_, stages, 9, 9), ElementsAre(1, 2, 0, 0));
}

TEST_F(StageTest, NamesAreWholeWordsAndMustBeThere) {
  EXPECT_THAT(CheckStages(*layout_, {{.tensors = {"conv", "head.weight"}}}), IsOk());
  EXPECT_THAT(CheckStages(*layout_, {{.tensors = {"con"}}}),
              StatusIs(kInvalid, HasSubstr("'con'")));
}

TEST_F(StageTest, PartGoesOutAndComesBack) {
  const ModelState whole = testing::RandomState(layout_, 1);
  const TensorMask mask = {false, true, false, true};
  const ModelState part = PartOf(whole, mask);
  ASSERT_EQ(part.values.size(), 12U);
  EXPECT_EQ(part.layout->tensors()[1].name, "head.weight");
  ModelState other = testing::RandomState(layout_, 2);
  ASSERT_THAT(PutPart(part, mask, other), IsOk());
  EXPECT_EQ(other.tensor(3)[6], whole.tensor(3)[6]);
  EXPECT_NE(other.tensor(0)[0], whole.tensor(0)[0]);
  EXPECT_THAT(PutPart(part, Inverse(mask), other), StatusIs(kInvalid, HasSubstr("tensor")));
  EXPECT_THAT(PlacesWithout(*layout_, Inverse(mask)), ElementsAre(kNowhere, 0, kNowhere, 5));
}

TEST_F(StageTest, NormCountsWhatAPartChanges) {
  ModelState before(layout_);
  ModelState after(layout_);
  after.tensor(0)[2] = 3;
  after.tensor(1)[0] = 100;  // a statistic
  const TensorMask left_out = {false, true, true, true};
  const ModelState part = PartOf(after, Inverse(left_out));
  EXPECT_EQ(NormOfChange(*layout_, before.values, part.values, PlacesWithout(*layout_, left_out)),
            3);
}

}  // namespace
}  // namespace consilium
