// The table of who may call what, against the services there are and against what they answer.

#include "server/rpc/access.h"

#include <gmock/gmock.h>

#include <map>

#include "tests/server/rpc/every_call.h"
#include "tests/server/rpc/server_fixture.h"

namespace consilium {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::LiveServer;
using testing::StatusIs;

class AccessTest : public ServerTest {};

TEST_F(AccessTest, EveryCallHasARow) {
  const auto calls = AllCalls();
  EXPECT_GE(calls.size(), 24U);
  for (const std::string& call : calls) {
    const bool has_row = IsOpenToAll(call) || MayCall(Role::kHospital, call) ||
                         MayCall(Role::kAdmin, call) || MayCall(Role::kObserver, call) ||
                         MayCall(Role::kInference, call);
    EXPECT_TRUE(has_row) << call;
  }
  EXPECT_FALSE(MayCall(Role::kAdmin, "BlobService/Burn"));
  EXPECT_FALSE(IsOpenToAll("BlobService/Burn"));
}

TEST_F(AccessTest, EveryCallIsAnsweredAsTheTableSays) {
  const std::map<Role, std::shared_ptr<grpc::Channel>> channels = {
      {Role::kHospital, LiveServer::Channel(server_.Join("north"))},
      {Role::kAdmin, LiveServer::Channel(server_.AdminHome())},
      {Role::kObserver, LiveServer::Channel(server_.Join("eye", "observer"))},
      {Role::kInference, LiveServer::Channel(server_.Join("ward", "inference"))}};
  for (const std::string& call : AllCalls()) {
    if (IsOpenToAll(call)) continue;  // it is not on this port
    for (const auto& [role, channel] : channels) {
      const Status status = MakeCall(channel, call);
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
    EXPECT_THAT(MakeCall(channel, call), StatusIs(kDenied, HasSubstr("revoked"))) << call;
  }
}

TEST_F(AccessTest, CoordinatorsOwnRoleCallsNothing) {
  for (const std::string& call : AllCalls())
    EXPECT_FALSE(MayCall(Role::kCoordinator, call)) << call;
}

}  // namespace
}  // namespace consilium
