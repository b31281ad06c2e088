#pragma once

// A message as the bytes that travel, for calls whose other messages bypass message objects.

#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/support/byte_buffer.h>

#include "common/base/status.h"
#include "common/rpc/grpc_status.h"

namespace consilium {

template <typename Message>
grpc::ByteBuffer ToByteBuffer(const Message& message) {
  grpc::ByteBuffer bytes;
  bool owned = false;
  const grpc::Status made = grpc::SerializationTraits<Message>::Serialize(message, &bytes, &owned);
  return made.ok() ? bytes : grpc::ByteBuffer();  // fails beyond 2 GiB alone
}

// INVALID_ARGUMENT or INTERNAL where they are no such message.
template <typename Message>
StatusOr<Message> FromByteBuffer(const grpc::ByteBuffer& bytes) {
  grpc::ByteBuffer copy(bytes);  // of the references; parsing consumes it
  Message message;
  CSL_RETURN_IF_ERROR(FromGrpc(grpc::SerializationTraits<Message>::Deserialize(&copy, &message)));
  return message;
}

}  // namespace consilium
