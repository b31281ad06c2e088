#include "client/session/control_variates.h"

#include <gmock/gmock.h>

#include <limits>

#include "tests/testing/small_model.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::IsOk;
using testing::kInvalid;
using testing::StatusIs;

class ControlVariatesTest : public ::testing::Test {
 protected:
  static std::string BlobOf(const std::vector<float>& values) {
    return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
  }

  Model global_{{.spec = testing::SmallSpec()}, ModelState(testing::SmallLayout())};
  const std::size_t elements_ = global_.state.values.size();
  testing::TempFolder folder_;
  const ControlVariates kept_{folder_.path()};
};

TEST_F(ControlVariatesTest, FirstRoundHasNone) {
  const auto pair = kept_.Load("r1", 1, global_, "");
  ASSERT_THAT(pair, IsOk());
  EXPECT_THAT(pair->c, IsEmpty());
  EXPECT_THAT(pair->own, IsEmpty());
}

TEST_F(ControlVariatesTest, WhatWasKeptComesBackWithTheCoordinators) {
  ModelState after(global_.state.layout);
  std::ranges::fill(after.values, -3.0F);
  ASSERT_THAT(kept_.Keep("r1", 1, global_, after, {}, /*reach=*/0.5), IsOk());
  const std::vector<float> c(elements_, 2);
  const auto pair = kept_.Load("r1", 2, global_, BlobOf(c));
  ASSERT_THAT(pair, IsOk());
  EXPECT_EQ(pair->c, c);
  for (std::size_t t = 0; t < global_.state.layout->tensors().size(); ++t) {
    const bool trained = global_.state.layout->tensors()[t].role == TensorRole::kParameter;
    EXPECT_EQ(pair->own[global_.state.layout->offset(t)], trained ? 6 : 0);
  }
  // A round that is trained again begins as it did.
  EXPECT_THAT(kept_.Load("r1", 1, global_, "")->own, IsEmpty());
}

TEST_F(ControlVariatesTest, BlobOfAnotherLengthOrWithoutEndIsRefused) {
  EXPECT_THAT(kept_.Load("r1", 2, global_, BlobOf({1, 2})),
              StatusIs(kInvalid, HasSubstr("8 bytes")));
  std::vector<float> c(elements_, 0);
  c.back() = std::numeric_limits<float>::infinity();
  EXPECT_THAT(kept_.Load("r1", 2, global_, BlobOf(c)), StatusIs(kInvalid, HasSubstr("finite")));
}

}  // namespace
}  // namespace consilium
