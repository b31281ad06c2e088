#pragma once

// Who calls, and whether they may: the first line of every handler.

#include <grpcpp/support/status.h>

#include <initializer_list>

#include "certs/identity.h"
#include "common/base/status.h"
#include "server/registry/registry.h"

namespace grpc {
class CallbackServerContext;
}

namespace consilium {

// The caller's identity, from the certificate of its connection and nothing else. PERMISSION_DENIED
// unless its role is one of those given; FAILED_PRECONDITION where it speaks another protocol. The
// answer to a caller who may call says what this coordinator speaks.
StatusOr<Identity> Authorise(grpc::CallbackServerContext& context, Registry& registry,
                             std::initializer_list<Role> roles);

// The last of these for a call that has no certificate yet.
Status CheckProtocol(grpc::CallbackServerContext& context);

}  // namespace consilium
