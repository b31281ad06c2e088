#include "client/session/residuals.h"

#include <gmock/gmock.h>

#include "tests/testing/small_model.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using ::testing::IsEmpty;
using testing::IsOk;
using testing::kInvalid;
using testing::StatusIs;

Model TheModel() {
  return {{testing::SmallSpec(), {.run = "r1", .round = 3}},
          testing::RandomState(testing::SmallLayout(), 1)};
}

TEST(ResidualsTest, ARoundBeginsWithWhatTheOneBeforeHasLeft) {
  const testing::TempFolder folder;
  const Residuals residuals(folder.path());
  const Model model = TheModel();
  EXPECT_THAT(*residuals.Load("r1", 1, model), IsEmpty());
  const std::vector<float> left(model.state.values.size(), 0.5F);
  ASSERT_THAT(residuals.Keep("r1", 1, model, left), IsOk());
  EXPECT_EQ(*residuals.Load("r1", 2, model), left);
  EXPECT_THAT(*residuals.Load("r1", 1, model), IsEmpty());  // done again, it begins as it did
  EXPECT_THAT(*residuals.Load("r2", 2, model), IsEmpty());
}

TEST(ResidualsTest, ThatOfAnotherNetworkIsAnError) {
  const testing::TempFolder folder;
  const Residuals residuals(folder.path());
  const Model model = TheModel();
  ASSERT_THAT(residuals.Keep("r1", 1, model, model.state.values), IsOk());
  const Model other{model.info, ModelState(*Layout::Create({{"w", {3}}}))};
  EXPECT_THAT(residuals.Load("r1", 2, other), StatusIs(kInvalid));
}

}  // namespace
}  // namespace consilium
