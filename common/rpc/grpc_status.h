#pragma once

// absl::Status and grpc::Status share their codes.

#include <grpcpp/support/status.h>

#include "common/base/status.h"

namespace consilium {

grpc::Status ToGrpc(const Status& status);
Status FromGrpc(const grpc::Status& status);

}  // namespace consilium
