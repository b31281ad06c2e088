#include "common/base/status.h"

#include <gmock/gmock.h>

#include <stdexcept>

#include "tests/testing/status_matchers.h"

namespace consilium {
namespace {

using ::testing::Eq;
using testing::IsOk;
using testing::StatusIs;

StatusOr<int> Half(int x) {
  if (x % 2 != 0) return InvalidArgument("{} is odd", x);
  return x / 2;
}

StatusOr<int> Quarter(int x) {
  CSL_ASSIGN_OR_RETURN(const int half, Half(x));
  CSL_RETURN_IF_ERROR(Half(half));
  return half / 2;
}

TEST(Status, MacrosPassOnTheFirstError) {
  EXPECT_EQ(*Quarter(8), 2);
  EXPECT_THAT(Quarter(3), StatusIs(testing::kInvalid, Eq("3 is odd")));
  EXPECT_THAT(Quarter(6), StatusIs(testing::kInvalid, Eq("3 is odd")));
}

TEST(Status, AnnotateKeepsTheCodeAndOk) {
  EXPECT_THAT(Annotate(NotFound("gone"), "file"),
              StatusIs(absl::StatusCode::kNotFound, Eq("file: gone")));
  EXPECT_THAT(Annotate(OkStatus(), "file"), IsOk());
}

TEST(Status, ExceptionsBecomeOneLine) {
  const auto thrown =
      CatchAsStatus("decoding", []() -> int { throw std::runtime_error("bad\nstack trace"); });
  EXPECT_THAT(thrown, StatusIs(absl::StatusCode::kInternal, Eq("decoding: bad")));
}

}  // namespace
}  // namespace consilium
