#include "common/base/status.h"

namespace consilium {

Status Annotate(const Status& status, std::string_view what) {
  if (status.ok()) return status;
  return Status(status.code(), fmt::format("{}: {}", what, std::string(status.message())));
}

}  // namespace consilium
