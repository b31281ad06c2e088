#pragma once

// How this project reports failure: absl::Status and absl::StatusOr, whose codes are gRPC's.
//
// Messages are built with fmt: Debian's absl::string_view is not std::string_view, so
// absl::StrCat does not take one.

#include <fmt/format.h>

#include <exception>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace consilium {

using absl::OkStatus;
using absl::Status;
using absl::StatusOr;

// Each makes a status of its code:
//   return InvalidArgument("tensor {}: {} values, want {}", name, got, want);
template <typename... Args>
Status InvalidArgument(fmt::format_string<Args...> format, Args&&... args) {
  return absl::InvalidArgumentError(fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
Status FailedPrecondition(fmt::format_string<Args...> format, Args&&... args) {
  return absl::FailedPreconditionError(fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
Status NotFound(fmt::format_string<Args...> format, Args&&... args) {
  return absl::NotFoundError(fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
Status AlreadyExists(fmt::format_string<Args...> format, Args&&... args) {
  return absl::AlreadyExistsError(fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
Status PermissionDenied(fmt::format_string<Args...> format, Args&&... args) {
  return absl::PermissionDeniedError(fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
Status Unauthenticated(fmt::format_string<Args...> format, Args&&... args) {
  return absl::UnauthenticatedError(fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
Status Unavailable(fmt::format_string<Args...> format, Args&&... args) {
  return absl::UnavailableError(fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
Status DataLoss(fmt::format_string<Args...> format, Args&&... args) {
  return absl::DataLossError(fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
Status Cancelled(fmt::format_string<Args...> format, Args&&... args) {
  return absl::CancelledError(fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
Status Internal(fmt::format_string<Args...> format, Args&&... args) {
  return absl::InternalError(fmt::format(format, std::forward<Args>(args)...));
}

// The same status with "what: " before its message; an OK status stays OK.
Status Annotate(const Status& status, std::string_view what);

// Runs f, which may throw, and gives what it returns; an exception becomes INTERNAL with the first
// line of its what(). The one place where the libraries' exceptions end.
template <typename F>
auto CatchAsStatus(std::string_view what, F&& f) -> StatusOr<decltype(f())> {
  try {
    return std::forward<F>(f)();
  } catch (const std::exception& e) {
    const std::string_view message = e.what();
    return Internal("{}: {}", what, message.substr(0, message.find('\n')));
  }
}

namespace internal {
inline const Status& AsStatus(const Status& status) { return status; }
template <typename T>
const Status& AsStatus(const StatusOr<T>& result) {
  return result.status();
}
}  // namespace internal

}  // namespace consilium

#define CSL_CONCAT_INNER(a, b) a##b
#define CSL_CONCAT(a, b) CSL_CONCAT_INNER(a, b)

// Returns from the enclosing function if expr, a Status or StatusOr, is not OK.
#define CSL_RETURN_IF_ERROR(expr) CSL_RETURN_IF_ERROR_IMPL(CSL_CONCAT(csl_status_, __LINE__), expr)
#define CSL_RETURN_IF_ERROR_IMPL(var, expr)                 \
  do {                                                      \
    if (const auto& var = (expr); !var.ok()) [[unlikely]] { \
      return ::consilium::internal::AsStatus(var);          \
    }                                                       \
  } while (false)

// CSL_ASSIGN_OR_RETURN(const Update update, Decode(bytes)): the value, or return the error.
// Two statements: not for the body of an if without braces.
#define CSL_ASSIGN_OR_RETURN(lhs, expr) \
  CSL_ASSIGN_OR_RETURN_IMPL(CSL_CONCAT(csl_result_, __LINE__), lhs, expr)
#define CSL_ASSIGN_OR_RETURN_IMPL(var, lhs, expr) \
  auto var = (expr);                              \
  if (!var.ok()) [[unlikely]] {                   \
    return std::move(var).status();               \
  }                                               \
  lhs = *std::move(var)
