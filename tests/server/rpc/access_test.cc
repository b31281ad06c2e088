// The table of who may call what, against the services there are and against what they answer.

#include "server/rpc/access.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <grpcpp/generic/generic_stub.h>

#include <filesystem>
#include <future>
#include <map>
#include <set>

#include "common/base/file.h"
#include "tests/server/rpc/server_fixture.h"

namespace consilium {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::LiveServer;
using testing::StatusIs;

// "BlobService/Upload" of every call in the proto files.
std::set<std::string> AllCalls() {
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

class AccessTest : public ServerTest {
 protected:
  // Makes a call with an empty message, in that role; what it was answered.
  static Status Call(const std::shared_ptr<grpc::Channel>& channel, const std::string& rpc) {
    grpc::GenericStub stub(channel);
    CallContext context(kTimeout, {});
    const grpc::Slice nothing("", 0);
    const grpc::ByteBuffer request(&nothing, 1);
    grpc::ByteBuffer response;
    std::promise<grpc::Status> done;
    stub.UnaryCall(context.get(), "/consilium.v1." + rpc, {}, &request, &response,
                   [&](grpc::Status status) { done.set_value(std::move(status)); });
    return FromGrpc(done.get_future().get());
  }
};

TEST_F(AccessTest, EveryCallHasARow) {
  const auto calls = AllCalls();
  EXPECT_GE(calls.size(), 18U);
  for (const std::string& call : calls) {
    const bool has_row = IsOpenToAll(call) || MayCall(Role::kHospital, call) ||
                         MayCall(Role::kAdmin, call) || MayCall(Role::kObserver, call);
    EXPECT_TRUE(has_row) << call;
  }
  EXPECT_FALSE(MayCall(Role::kAdmin, "BlobService/Burn"));
  EXPECT_FALSE(IsOpenToAll("BlobService/Burn"));
}

TEST_F(AccessTest, EveryCallIsAnsweredAsTheTableSays) {
  const std::map<Role, std::shared_ptr<grpc::Channel>> channels = {
      {Role::kHospital, LiveServer::Channel(server_.Join("north"))},
      {Role::kAdmin, LiveServer::Channel(server_.AdminHome())},
      {Role::kObserver, LiveServer::Channel(server_.Join("eye", "observer"))}};
  for (const std::string& call : AllCalls()) {
    if (IsOpenToAll(call)) continue;  // it is not on this port
    for (const auto& [role, channel] : channels) {
      const Status status = Call(channel, call);
      const bool refused = absl::IsPermissionDenied(status) &&
                           status.message().find("may not call") != absl::string_view::npos;
      EXPECT_EQ(refused, !MayCall(role, call)) << RoleName(role) << " " << call << ": " << status;
    }
  }
}

// A handler that forgot to ask would answer.
TEST_F(AccessTest, RevokedMemberIsRefusedEveryCall) {
  const auto channel = LiveServer::Channel(server_.Join("north"));
  Revoke("north");
  for (const std::string& call : AllCalls()) {
    if (IsOpenToAll(call)) continue;
    EXPECT_THAT(Call(channel, call), StatusIs(kDenied, HasSubstr("revoked"))) << call;
  }
}

TEST_F(AccessTest, CoordinatorsOwnRoleCallsNothing) {
  for (const std::string& call : AllCalls())
    EXPECT_FALSE(MayCall(Role::kCoordinator, call)) << call;
}

}  // namespace
}  // namespace consilium
