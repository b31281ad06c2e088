#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>

#include "common/base/status.h"
#include "common/rpc/channel.h"
#include "common/rpc/grpc_status.h"

namespace consilium {

// One unary call: CallUnary(&v1::AdminService::Stub::Invite, stub, request, context). What the
// context tells of the far end is there afterwards.
template <typename Stub, typename Request, typename Response>
StatusOr<Response> CallUnary(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                          Response*),
                             Stub& stub, const Request& request, CallContext& context) {
  Response response;
  CSL_RETURN_IF_ERROR(FromGrpc((stub.*method)(context.get(), request, &response)));
  return response;
}
template <typename Stub, typename Request, typename Response>
StatusOr<Response> CallUnary(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                          Response*),
                             Stub& stub, const Request& request, std::chrono::milliseconds timeout,
                             const std::stop_token& stop) {
  CallContext context(timeout, stop);
  return CallUnary(method, stub, request, context);
}

}  // namespace consilium
