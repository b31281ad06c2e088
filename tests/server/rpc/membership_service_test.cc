// Renewal and revocation while calls are under way, over real TLS.

#include <gmock/gmock.h>

#include <thread>

#include "client/rpc/fetch_authority.h"
#include "common/crypto/issue.h"
#include "consilium/v1/blob.grpc.pb.h"
#include "consilium/v1/membership.grpc.pb.h"
#include "tests/server/rpc/server_fixture.h"

namespace consilium {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::LiveServer;
using testing::StatusIs;

class MembershipTest : public ServerTest {
 protected:
  // The serial number of the certificate that the coordinator shows.
  std::string ServerSerial() const {
    return FetchCertificates(server_.endpoint())->front().Serial();
  }
};

TEST_F(MembershipTest, RenewedIdentityCallsAndTheFormerOneStillDoes) {
  Home home = server_.Join("north");
  CoordinatorClient former(home, {});
  ASSERT_THAT(former.NextTask(std::chrono::seconds(0)), IsOk());
  ASSERT_THAT(former.RenewIdentity(server_.folder() / "north"), IsOk());
  ASSERT_OK_AND_ASSIGN(Home renewed, ReadHome(server_.folder() / "north"));
  EXPECT_NE(renewed.key_pem, home.key_pem);
  renewed.endpoint = home.endpoint;
  CoordinatorClient fresh(renewed, {});
  EXPECT_THAT(fresh.NextTask(std::chrono::seconds(0)), IsOk());
  EXPECT_THAT(former.NextTask(std::chrono::seconds(0)), IsOk());
  former.UseIdentity(renewed);
  EXPECT_THAT(former.NextTask(std::chrono::seconds(0)), IsOk());
}

TEST_F(MembershipTest, RevocationCutsAPollAndAStalledUpload) {
  const Home home = server_.Join("north");
  Submit();
  CoordinatorClient client(home, {});
  const v1::Task task = NextTask(client);

  const auto stub = v1::BlobService::NewStub(LiveServer::Channel(home));
  CallContext context(std::chrono::seconds(60), {});
  v1::UploadResponse response;
  const auto stream = stub->Upload(context.get(), &response);
  v1::UploadRequest part;
  part.mutable_header()->set_task_id(task.task_id());
  part.mutable_header()->mutable_blob()->set_digest(std::string(64, 'a'));
  part.mutable_header()->mutable_blob()->set_size_bytes(1000);
  ASSERT_TRUE(stream->Write(part));  // and no more
  Status polled;
  const Home other = server_.Join("south");
  std::jthread poll([&] {
    CoordinatorClient south(other, {});
    (void)south.NextTask(std::chrono::seconds(0));
    polled = south.NextTask(std::chrono::seconds(50)).status();
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(300));  // the poll is waiting

  const auto begin = std::chrono::steady_clock::now();
  Revoke("south");  // first: the other's task would become its
  Revoke("north");
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  poll.join();
  EXPECT_FALSE(polled.ok());
  EXPECT_LT(std::chrono::steady_clock::now() - begin, kTimeout);
  EXPECT_THAT(client.NextTask(std::chrono::seconds(0)), StatusIs(kDenied, HasSubstr("revoked")));
}

TEST_F(MembershipTest, RevocationListIsServed) {
  const Home north = server_.Join("north");
  Revoke("north");
  const auto stub = v1::MembershipService::NewStub(LiveServer::Channel(server_.AdminHome()));
  CallContext context(kTimeout, {});
  v1::GetRevocationListResponse response;
  ASSERT_THAT(FromGrpc(stub->GetRevocationList(context.get(), {}, &response)), IsOk());
  EXPECT_THAT(*ReadRevocationList(response.list_pem(), server_.authority().issuing()),
              ElementsAre(Certificate::FromPem(north.certificate_pem)->Serial()));
}

TEST_F(MembershipTest, CoordinatorTakesARenewedCertificateAndIssuingCaOverWithoutARestart) {
  const Home home = server_.Join("north");
  CoordinatorClient open(home, {});
  ASSERT_THAT(open.NextTask(std::chrono::seconds(0)), IsOk());
  const std::string before = ServerSerial();
  ASSERT_THAT(
      RenewServer(server_.folder() / "s", server_.folder() / "s/ca/root", SystemClock().Now()),
      IsOk());
  const auto end = std::chrono::steady_clock::now() + kTimeout;
  while (ServerSerial() == before && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  EXPECT_NE(ServerSerial(), before);
  EXPECT_THAT(open.NextTask(std::chrono::seconds(0)), IsOk());
  CoordinatorClient fresh(home, {});
  EXPECT_THAT(fresh.NextTask(std::chrono::seconds(0)), IsOk());
  // Issued by the new CA.
  ASSERT_OK_AND_ASSIGN(const auto chain,
                       Certificate::ChainFromPem(server_.Join("south").certificate_pem));
  EXPECT_EQ(chain[1].Serial(), server_.authority().issuing().Serial());
}

}  // namespace
}  // namespace consilium
