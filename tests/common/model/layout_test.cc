#include "common/model/layout.h"

#include <gmock/gmock.h>

#include "tests/testing/small_model.h"
#include "tests/testing/status_matchers.h"

namespace consilium {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::kInvalid;
using testing::StatusIs;

TEST(Layout, OffsetsFollowTheOrder) {
  const auto layout = testing::SmallLayout();
  EXPECT_EQ(layout->offset(0), 0U);
  EXPECT_EQ(layout->offset(1), 36U);
  EXPECT_EQ(layout->offset(2), 41U);
  EXPECT_EQ(layout->offset(3), 42U);  // a scalar has one element
  EXPECT_EQ(layout->size(), 49U);
}

TEST(Layout, RefusesWhatNoModelHas) {
  EXPECT_THAT(Layout::Create({{"a", {2}}, {"a", {3}}}), StatusIs(kInvalid, HasSubstr("twice")));
  EXPECT_THAT(Layout::Create({{"", {2}}}), StatusIs(kInvalid));
  EXPECT_THAT(Layout::Create({{"a", {-1}}}), StatusIs(kInvalid, HasSubstr("negative")));
  EXPECT_THAT(Layout::Create({{"a", {1LL << 40, 1LL << 40}}}), StatusIs(kInvalid));
  // Each fits, their sum does not.
  const std::int64_t most = Layout::kMaxElements;
  EXPECT_THAT(Layout::Create({{"a", {most}}, {"b", {1}}}), StatusIs(kInvalid));
}

TEST(Layout, FirstDifferenceIsNamed) {
  const auto want = *Layout::Create({{"a", {2}}, {"b", {3}}});
  EXPECT_THAT(CheckSameLayout(*want, *want), IsOk());
  EXPECT_THAT(CheckSameLayout(*want, **Layout::Create({{"a", {2}}, {"c", {3}}})),
              StatusIs(kInvalid, HasSubstr("named c, want b")));
  EXPECT_THAT(CheckSameLayout(*want, **Layout::Create({{"a", {5}}, {"b", {3}}})),
              StatusIs(kInvalid, HasSubstr("tensor a has shape [5], want [2]")));
  EXPECT_THAT(CheckSameLayout(*want, **Layout::Create({{"a", {2}}})),
              StatusIs(kInvalid, HasSubstr("b is missing")));
  EXPECT_THAT(CheckSameLayout(*want, **Layout::Create({{"a", {2}}, {"b", {3}}, {"c", {1}}})),
              StatusIs(kInvalid, HasSubstr("c is not part")));
  EXPECT_THAT(
      CheckSameLayout(*want, **Layout::Create({{"a", {2}, TensorRole::kBuffer}, {"b", {3}}})),
      StatusIs(kInvalid, HasSubstr("role buffer, want parameter")));
}

}  // namespace
}  // namespace consilium
