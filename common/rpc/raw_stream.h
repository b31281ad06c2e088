#pragma once

// A caller's end of a streaming call whose messages are bytes, not message objects.

#include <grpcpp/channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>

#include <memory>
#include <string>

#include "common/base/status.h"
#include "common/rpc/channel.h"

namespace consilium {

// Each function waits until it is done; false means that the call has come to its end, which Finish
// then tells of. For one thread. The context outlives it; Finish is called before it ends.
class RawStream {
 public:
  // method: "/package.Service/Method".
  RawStream(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
            CallContext& context);

  bool Write(const grpc::ByteBuffer& message);
  bool WritesDone();
  // Every message of the far end is read before Finish can return OK.
  bool Read(grpc::ByteBuffer& message);
  Status Finish();

 private:
  bool Await();

  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
};

}  // namespace consilium
