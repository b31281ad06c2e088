#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include "common/rpc/grpc_status.h"

namespace consilium {

// What a caller hears of a handler's status. A disk that is full now may have room later: the
// caller is told to try again, and not that its call was wrong.
inline grpc::Status ToCaller(const Status& status) {
  if (!absl::IsResourceExhausted(status)) return ToGrpc(status);
  return ToGrpc(Unavailable("the coordinator has no room: {}", std::string(status.message())));
}

// Runs a handler that gives a Status and ends the call with it.
template <typename Handler>
grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context, Handler&& handler) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToCaller(handler()));
  return reactor;
}

}  // namespace consilium
