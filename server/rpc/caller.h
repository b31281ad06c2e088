#pragma once

// Who calls, and whether they may: the first line of every handler.

#include <grpcpp/support/status.h>

#include <string>
#include <string_view>

#include "certs/identity.h"
#include "common/base/status.h"
#include "server/registry/registry.h"
#include "server/rpc/open_calls.h"

namespace consilium {

// The caller's identity, from the certificate of its connection and nothing else. PERMISSION_DENIED
// unless its role may make the call ("BlobService/Upload", see access.h); FAILED_PRECONDITION where
// it speaks another protocol. The answer to a caller who may call says what this coordinator
// speaks.
StatusOr<Identity> Authorise(grpc::CallbackServerContext& context, Registry& registry,
                             std::string_view rpc);

// The same for a call that lasts. It is cut when its caller is revoked.
struct OpenCaller {
  Identity identity;
  OpenCalls::Entry open;
};
StatusOr<OpenCaller> AuthoriseOpen(grpc::CallbackServerContext& context, Registry& registry,
                                   OpenCalls& calls, std::string_view rpc);

// OK if the call needs no certificate, and the caller speaks this protocol.
Status AuthoriseNewcomer(grpc::CallbackServerContext& context, std::string_view rpc);

// The certificate of the caller's connection, in PEM; empty where there is none.
std::string PeerCertificate(const grpc::CallbackServerContext& context);

}  // namespace consilium
