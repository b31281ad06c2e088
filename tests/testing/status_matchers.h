#pragma once

#include <gmock/gmock.h>

#include "common/base/status.h"

namespace consilium::testing {

MATCHER(IsOk, "") {
  *result_listener << consilium::internal::AsStatus(arg).ToString();
  return arg.ok();
}

MATCHER_P(StatusIs, code, "") {
  *result_listener << consilium::internal::AsStatus(arg).ToString();
  return consilium::internal::AsStatus(arg).code() == code;
}

// StatusIs(code, HasSubstr("…"))
MATCHER_P2(StatusIs, code, message, "") {
  const Status& status = consilium::internal::AsStatus(arg);
  *result_listener << status.ToString();
  return status.code() == code &&
         ::testing::ExplainMatchResult(message, std::string(status.message()), result_listener);
}

inline constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

}  // namespace consilium::testing

// ASSERT_OK_AND_ASSIGN(const Model model, ReadModel(path)): the value, or the test fails here.
#define ASSERT_OK_AND_ASSIGN(lhs, expr) \
  ASSERT_OK_AND_ASSIGN_IMPL(CSL_CONCAT(csl_test_result_, __LINE__), lhs, expr)
#define ASSERT_OK_AND_ASSIGN_IMPL(var, lhs, expr) \
  auto var = (expr);                              \
  ASSERT_THAT(var, ::consilium::testing::IsOk()); \
  lhs = *std::move(var)
