#include "common/rpc/raw_stream.h"

#include "common/rpc/grpc_status.h"

namespace consilium {

RawStream::RawStream(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                     CallContext& context)
    : call_(grpc::GenericStub(channel).PrepareCall(context.get(), method, &queue_)) {
  call_->StartCall(this);
  (void)Await();  // where it fails, all that follows does
}

bool RawStream::Await() {
  void* tag = nullptr;
  bool ok = false;
  return queue_.Next(&tag, &ok) && ok;
}

bool RawStream::Write(const grpc::ByteBuffer& message) {
  call_->Write(message, this);
  return Await();
}

bool RawStream::WritesDone() {
  call_->WritesDone(this);
  return Await();
}

bool RawStream::Read(grpc::ByteBuffer& message) {
  call_->Read(&message, this);
  return Await();
}

Status RawStream::Finish() {
  grpc::Status status;
  call_->Finish(&status, this);
  (void)Await();
  return FromGrpc(status);
}

}  // namespace consilium
