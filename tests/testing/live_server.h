#pragma once

#include <gmock/gmock.h>

#include <memory>
#include <string>

#include "certs/authority.h"
#include "certs/home.h"
#include "client/rpc/coordinator_client.h"
#include "common/rpc/channel.h"
#include "common/rpc/credentials.h"
#include "consilium/v1/admin.grpc.pb.h"
#include "server/rpc/init.h"
#include "server/rpc/server.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium::testing {

// A coordinator in this process, on free ports of the loopback, with its real TLS.
class LiveServer {
 public:
  LiveServer() {
    EXPECT_THAT(InitServer(folder_ / "s", {.federation = "lungs", .host = "127.0.0.1"},
                           SystemClock().Now()),
                IsOk());
    Start();
  }

  void Start() {
    auto server = Server::Start(folder_ / "s", {"127.0.0.1:0", "127.0.0.1:0"});
    EXPECT_THAT(server, IsOk());
    server_ = *std::move(server);
  }
  void Stop() { server_.reset(); }

  std::string endpoint() const { return "127.0.0.1:" + std::to_string(server_->port()); }
  std::string enrol_endpoint() const {
    return "127.0.0.1:" + std::to_string(server_->enrol_port());
  }
  const TempFolder& folder() const { return folder_; }

  Authority authority() const { return *Authority::Load(folder_ / "s/ca"); }

  // The admin's home, at the port that the server really has.
  Home AdminHome() const {
    Home home = *ReadHome(folder_ / "s/admin");
    home.endpoint = endpoint();
    return home;
  }
  std::unique_ptr<v1::AdminService::Stub> Admin() const {
    return v1::AdminService::NewStub(Channel(AdminHome()));
  }

  v1::InviteResponse Invite(const std::string& site, const std::string& role = "hospital") const {
    CallContext context(std::chrono::seconds(10), {});
    v1::InviteRequest request;
    request.set_site(site);
    request.set_role(role);
    v1::InviteResponse response;
    EXPECT_TRUE(Admin()->Invite(context.get(), request, &response).ok());
    return response;
  }

  // A site that has joined.
  Home Join(const std::string& site, const std::string& role = "hospital") const {
    const v1::InviteResponse invite = Invite(site, role);
    const auto joined =
        JoinFederation(enrol_endpoint(), invite.token(), invite.ca_sha256(), folder_ / site, {});
    EXPECT_THAT(joined, IsOk());
    Home home = *ReadHome(folder_ / site);
    home.endpoint = endpoint();
    return home;
  }

  static std::shared_ptr<grpc::Channel> Channel(const Home& home) {
    return MakeChannel(home.endpoint,
                       MutualTlsClient(home.ca_pem, {home.certificate_pem, home.key_pem}));
  }

 private:
  TempFolder folder_;
  std::unique_ptr<Server> server_;
};

}  // namespace consilium::testing
