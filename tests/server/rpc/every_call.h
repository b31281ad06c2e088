#pragma once

// Every call that the services have, and how to make one without knowing its messages.

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <grpcpp/generic/generic_stub.h>

#include <filesystem>
#include <future>
#include <set>
#include <string>

#include "common/base/file.h"
#include "common/rpc/channel.h"
#include "common/rpc/grpc_status.h"

namespace consilium {

// "BlobService/Upload" of every call in the proto files.
inline std::set<std::string> AllCalls() {
  const std::filesystem::path root = std::filesystem::path(CONSILIUM_SOURCE_DIR) / "proto";
  std::set<std::string> calls;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    if (entry.path().extension() != ".proto") continue;
    const std::string name = entry.path().lexically_relative(root).string();
    const auto* file = google::protobuf::DescriptorPool::generated_pool()->FindFileByName(name);
    // A file that this program has no code of has messages alone.
    if (file == nullptr) {
      EXPECT_EQ(ReadFile(entry.path())->find("\nservice "), std::string::npos) << name;
      continue;
    }
    for (int i = 0; i < file->service_count(); ++i) {
      const auto* service = file->service(i);
      for (int j = 0; j < service->method_count(); ++j) {
        calls.insert(service->name() + "/" + service->method(j)->name());
      }
    }
  }
  return calls;
}

// Makes a call with a serialised message; what it was answered.
inline Status MakeCall(const std::shared_ptr<grpc::Channel>& channel, const std::string& rpc,
                       const std::string& message = "") {
  grpc::GenericStub stub(channel);
  CallContext context(std::chrono::seconds(10), {});
  const grpc::Slice bytes(message);
  const grpc::ByteBuffer request(&bytes, 1);
  grpc::ByteBuffer response;
  std::promise<grpc::Status> done;
  stub.UnaryCall(context.get(), "/consilium.v1." + rpc, {}, &request, &response,
                 [&](grpc::Status status) { done.set_value(std::move(status)); });
  return FromGrpc(done.get_future().get());
}

}  // namespace consilium
