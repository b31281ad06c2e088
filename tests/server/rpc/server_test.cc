// The coordinator over real TLS: who gets in, and what they get.

#include "server/rpc/server.h"

#include <gmock/gmock.h>
#include <openssl/ssl.h>
#include <sys/stat.h>

#include <thread>

#include "common/base/file.h"
#include "tests/server/rpc/server_fixture.h"

namespace consilium {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::LiveServer;
using testing::StatusIs;

TEST_F(ServerTest, JoiningMakesAPrivateKeyThatNeverLeaves) {
  server_.Join("north");
  struct stat info {};
  ASSERT_EQ(::stat((server_.folder() / "north/identity.key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  const std::string key = *ReadFile(server_.folder() / "north/identity.key");
  for (const auto& entry : std::filesystem::recursive_directory_iterator(server_.folder() / "s")) {
    if (!entry.is_regular_file()) continue;
    EXPECT_EQ(ReadFile(entry.path())->find(key.substr(40, 60)), std::string::npos) << entry.path();
  }
}

TEST_F(ServerTest, WrongCaHashStopsTheJoinBeforeTheTokenIsSent) {
  const v1::InviteResponse invite = server_.Invite("north");
  EXPECT_THAT(JoinFederation(server_.enrol_endpoint(), invite.token(), std::string(64, '0'),
                             server_.folder() / "north", {}),
              StatusIs(kDenied, HasSubstr("--ca-sha256")));
  EXPECT_FALSE(std::filesystem::exists(server_.folder() / "north"));
  // The token was not used up.
  EXPECT_THAT(JoinFederation(server_.enrol_endpoint(), invite.token(), invite.ca_sha256(),
                             server_.folder() / "north", {}),
              IsOk());
}

TEST_F(ServerTest, UsedTokenIsRefusedAndNothingIsWritten) {
  const v1::InviteResponse invite = server_.Invite("north");
  const auto join = [&](const std::string& folder) {
    return JoinFederation(server_.enrol_endpoint(), invite.token(), invite.ca_sha256(),
                          server_.folder() / folder, {});
  };
  ASSERT_THAT(join("north"), IsOk());
  EXPECT_THAT(join("again"), StatusIs(kDenied, HasSubstr("used already")));
  EXPECT_FALSE(std::filesystem::exists(server_.folder() / "again"));
  EXPECT_THAT(join("north"), StatusIs(absl::StatusCode::kAlreadyExists));
}

TEST_F(ServerTest, CallersWithoutTheFederationsCertificateStayOutside) {
  const Home admin = server_.AdminHome();
  EXPECT_THAT(ListSites(LiveServer::Channel(admin)), IsOk());
  // No TLS at all.
  EXPECT_FALSE(ListSites(MakeChannel(server_.endpoint(), grpc::InsecureChannelCredentials())).ok());
  // TLS without a certificate.
  EXPECT_THAT(ListSites(MakeChannel(server_.endpoint(), EnrolmentTlsClient(admin.ca_pem))),
              StatusIs(absl::StatusCode::kUnavailable));
  // A certificate of another CA with the same names.
  const testing::TempFolder other;
  const TimePoint now = SystemClock().Now();
  const Authority impostor = *Authority::Create(other.path(), "lungs", now);
  const PrivateKey key = *PrivateKey::Generate();
  Home forged = admin;
  forged.key_pem = *key.ToPem();
  forged.certificate_pem = *impostor.IssueClient(key, {"lungs", Role::kAdmin, "admin"}, now);
  EXPECT_THAT(ListSites(LiveServer::Channel(forged)), StatusIs(absl::StatusCode::kUnavailable));
  // An expired one of the right CA.
  Home expired = forged;
  expired.certificate_pem = *server_.authority().IssueClient(
      key, {"lungs", Role::kAdmin, "admin"},
      now - Authority::kCertificateValidity - std::chrono::days(1));
  EXPECT_THAT(ListSites(LiveServer::Channel(expired)), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(ServerTest, RolesAreKeptApart) {
  const Home hospital = server_.Join("north");
  EXPECT_THAT(ListSites(LiveServer::Channel(hospital)), StatusIs(kDenied, HasSubstr("hospital")));
  CoordinatorClient admin(server_.AdminHome(), {});
  EXPECT_THAT(admin.NextTask(std::chrono::seconds(0)), StatusIs(kDenied, HasSubstr("admin")));
}

TEST_F(ServerTest, ClientRefusesACoordinatorOfAnotherCa) {
  const testing::TempFolder other;
  Home home = server_.AdminHome();
  home.ca_pem = Authority::Create(other.path(), "lungs", SystemClock().Now())->root_pem();
  EXPECT_THAT(ListSites(LiveServer::Channel(home)), StatusIs(absl::StatusCode::kUnavailable));
}

// A bare TLS client that offers one version; whether the handshake went through.
bool Handshakes(const std::string& endpoint, int version) {
  const std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  SSL_CTX_set_min_proto_version(context.get(), version);
  SSL_CTX_set_max_proto_version(context.get(), version);
  // Every cipher there is, the weak and the odd ones included.
  SSL_CTX_set_cipher_list(context.get(), "ALL:COMPLEMENTOFALL:@SECLEVEL=0");
  const std::shared_ptr<BIO> connection(BIO_new_ssl_connect(context.get()), BIO_free_all);
  BIO_set_conn_hostname(connection.get(), endpoint.c_str());
  return BIO_do_connect(connection.get()) == 1;
}

TEST_F(ServerTest, SpeaksTls13Alone) {
  for (const std::string& endpoint : {server_.endpoint(), server_.enrol_endpoint()}) {
    EXPECT_TRUE(Handshakes(endpoint, TLS1_3_VERSION));
    EXPECT_FALSE(Handshakes(endpoint, TLS1_2_VERSION));
    EXPECT_FALSE(Handshakes(endpoint, TLS1_1_VERSION));
  }
}

TEST_F(ServerTest, RevokedSiteIsRefusedOnAnOpenConnection) {
  CoordinatorClient client(server_.Join("north"), {});
  ASSERT_THAT(client.NextTask(std::chrono::seconds(0)), IsOk());
  Revoke("north");
  EXPECT_THAT(client.NextTask(std::chrono::seconds(0)), StatusIs(kDenied, HasSubstr("revoked")));
}

TEST_F(ServerTest, LongPollAnswersWhenWorkComes) {
  CoordinatorClient client(server_.Join("north"), {});
  StatusOr<std::optional<v1::Task>> task = std::nullopt;
  std::jthread poll([&] { task = client.NextTask(std::chrono::seconds(30)); });
  const std::string run = Submit();
  poll.join();
  ASSERT_THAT(task, IsOk());
  ASSERT_TRUE(task->has_value());
  EXPECT_EQ((*task)->run_id(), run);
  EXPECT_EQ((*task)->kind(), v1::TASK_KIND_INITIALISE);
}

TEST_F(ServerTest, LongPollEndsWithoutWork) {
  CoordinatorClient client(server_.Join("north"), {});
  const auto task = client.NextTask(std::chrono::seconds(1));
  ASSERT_THAT(task, IsOk());
  EXPECT_FALSE(task->has_value());
}

TEST_F(ServerTest, AWholeRoundWithSitesThatOnlyMoveBytes) {
  CoordinatorClient north(server_.Join("north"), {});
  CoordinatorClient south(server_.Join("south"), {});
  const std::string run = Submit();

  const std::string initial = SmallModel({.run = run}, 1);
  Deliver(north, initial, 0);
  const Provenance made{.run = run, .round = 1, .parent_digest = Sha256Of(initial)};
  const std::string north_update = SmallModel(made, 2);
  Deliver(north, north_update, 30);
  Deliver(south, SmallModel(made, 3), 10);

  const v1::Task evaluate = NextTask(south);
  ASSERT_EQ(evaluate.kind(), v1::TASK_KIND_EVALUATE);
  const std::string digest = evaluate.model().digest();
  const auto path = server_.folder() / "global";
  ASSERT_THAT(south.Download(digest, kMaxModelBytes, path), IsOk());
  ASSERT_OK_AND_ASSIGN(const Model global, ReadModel(path));
  const ModelState a = testing::RandomState(testing::SmallLayout(), 2);
  const ModelState b = testing::RandomState(testing::SmallLayout(), 3);
  EXPECT_EQ(global.state.values[0], static_cast<float>((30.0 * static_cast<double>(a.values[0]) +
                                                        10.0 * static_cast<double>(b.values[0])) /
                                                       40));
  // Another hospital's update is not to be had, nor its leftovers.
  EXPECT_THAT(south.Download(Sha256Of(north_update), kMaxModelBytes, server_.folder() / "stolen"),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(ServerTest, ARoundOfOneSiteKeepsItsModel) {
  CoordinatorClient north(server_.Join("north"), {});
  const std::string run = Submit();
  const std::string initial = SmallModel({.run = run}, 1);
  Deliver(north, initial, 0);
  Deliver(north, SmallModel({.run = run, .round = 1, .parent_digest = Sha256Of(initial)}, 2), 30);
  const v1::Task evaluate = NextTask(north);
  ASSERT_EQ(evaluate.kind(), v1::TASK_KIND_EVALUATE);
  EXPECT_THAT(
      north.Download(evaluate.model().digest(), kMaxModelBytes, server_.folder() / "global"),
      IsOk());
}

TEST_F(ServerTest, RefusedReportTakesNoBlobThatARunNeeds) {
  CoordinatorClient north(server_.Join("north"), {});
  CoordinatorClient south(server_.Join("south"), {});
  CoordinatorClient west(server_.Join("west"), {});
  const std::string run = Submit();
  const std::string initial = SmallModel({.run = run}, 1);
  Deliver(north, initial, 0);
  const std::string update =
      SmallModel({.run = run, .round = 1, .parent_digest = Sha256Of(initial)}, 2);
  Deliver(north, update, 30);
  // One names the global model as its update, the other north's update with no examples.
  EXPECT_THAT(south.ReportTask(ResultOf(NextTask(south), Sha256Of(initial), 10)),
              StatusIs(testing::kInvalid));
  EXPECT_THAT(south.Download(Sha256Of(initial), kMaxModelBytes, server_.folder() / "initial"),
              IsOk());
  EXPECT_THAT(west.ReportTask(ResultOf(NextTask(west), Sha256Of(update), 0)),
              StatusIs(testing::kInvalid));
  // The quorum of one holds, and north's update is still there to be averaged.
  EXPECT_EQ(NextTask(north).kind(), v1::TASK_KIND_EVALUATE);
}

TEST_F(ServerTest, InadmissibleUpdateEndsTheTaskWithItsReason) {
  CoordinatorClient north(server_.Join("north"), {});
  const std::string run = Submit();
  ASSERT_OK_AND_ASSIGN(const auto task, north.NextTask(std::chrono::seconds(10)));
  const std::string bytes = "this is no model";
  ASSERT_THAT(north.Upload(AsBytes(bytes), Sha256Of(bytes), task->task_id()), IsOk());
  v1::ReportTaskRequest report;
  report.set_task_id(task->task_id());
  report.mutable_result()->set_blob_digest(Sha256Of(bytes));
  EXPECT_THAT(north.ReportTask(report), StatusIs(testing::kInvalid));
  CallContext context(kTimeout, {});
  v1::GetRunRequest request;
  request.set_run_id(run);
  v1::GetRunResponse shown;
  ASSERT_TRUE(server_.Admin()->GetRun(context.get(), request, &shown).ok());
  EXPECT_EQ(shown.tasks(0).status(), "failed");
  EXPECT_THAT(shown.tasks(0).reason(), HasSubstr("refused"));
}

TEST_F(ServerTest, HospitalAtATaskSaysHowFarItIsAndHearsWhenItHasEnded) {
  CoordinatorClient north(server_.Join("north"), {});
  const std::string run = Submit();
  v1::TaskProgress progress;
  progress.set_task_id(NextTask(north).task_id());
  progress.set_stage(v1::TASK_STAGE_TRAINING);
  progress.set_done(3);
  progress.set_total(9);
  EXPECT_EQ(*north.ReportProgress(progress, {}), false);

  v1::GetRunRequest request;
  request.set_run_id(run);
  CallContext context(kTimeout, {});
  v1::GetRunResponse shown;
  ASSERT_THAT(FromGrpc(server_.Admin()->GetRun(context.get(), request, &shown)), IsOk());
  ASSERT_EQ(shown.tasks_size(), 1);
  EXPECT_EQ(shown.tasks(0).stage_done(), 3U);
  EXPECT_GT(shown.tasks(0).heard_unix_ms(), 0);

  // A hospital that comes back is given the task that it holds, at once.
  const auto again = north.NextTask(std::chrono::seconds(10), progress.task_id());
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ((*again)->task_id(), progress.task_id());

  v1::CancelRunRequest cancel;
  cancel.set_run_id(run);
  CallContext cancelling(kTimeout, {});
  v1::CancelRunResponse cancelled;
  ASSERT_THAT(FromGrpc(server_.Admin()->CancelRun(cancelling.get(), cancel, &cancelled)), IsOk());
  EXPECT_EQ(*north.ReportProgress(progress, {}), true);
}

TEST_F(ServerTest, RunsAreStillThereAfterARestart) {
  CoordinatorClient north(server_.Join("north"), {});
  const std::string run = Submit();
  server_.Stop();
  server_.Start();
  CallContext context(kTimeout, {});
  v1::ListRunsResponse runs;
  ASSERT_TRUE(server_.Admin()->ListRuns(context.get(), {}, &runs).ok());
  ASSERT_EQ(runs.runs_size(), 1);
  EXPECT_EQ(runs.runs(0).run_id(), run);
  EXPECT_EQ(runs.runs(0).status(), "INITIALISING");
}

TEST_F(ServerTest, PlansAreCheckedAgainAtTheCoordinator) {
  server_.Join("north");
  v1::SubmitRunRequest request;
  *request.mutable_plan() = SmallPlan();
  request.mutable_plan()->mutable_training()->set_learning_rate(-1);
  CallContext context(kTimeout, {});
  v1::SubmitRunResponse response;
  EXPECT_THAT(FromGrpc(server_.Admin()->SubmitRun(context.get(), request, &response)),
              StatusIs(testing::kInvalid, HasSubstr("learning_rate")));
}

TEST_F(ServerTest, RunNeedsAsManySitesAsItsQuorum) {
  v1::SubmitRunRequest request;
  *request.mutable_plan() = SmallPlan();
  CallContext context(kTimeout, {});
  v1::SubmitRunResponse response;
  EXPECT_THAT(FromGrpc(server_.Admin()->SubmitRun(context.get(), request, &response)),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("quorum")));
}

TEST(InitServer, KeysAreTheOwnersAlone) {
  const testing::TempFolder folder;
  ASSERT_THAT(
      InitServer(folder / "s", {.federation = "lungs", .host = "localhost"}, SystemClock().Now()),
      IsOk());
  int keys = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder / "s")) {
    if (!entry.is_regular_file() ||
        ReadFile(entry.path())->find("PRIVATE KEY") == std::string::npos) {
      continue;
    }
    ++keys;
    EXPECT_EQ(entry.status().permissions(), std::filesystem::perms(0600)) << entry.path();
  }
  EXPECT_EQ(keys, 4);  // the root's, the issuing CA's, the server's, the admin's
}

TEST(InitServer, DoesNotTouchAFolderThatHoldsAFederation) {
  const testing::TempFolder folder;
  const ServerOptions options{.federation = "lungs", .host = "localhost"};
  ASSERT_THAT(InitServer(folder / "s", options, SystemClock().Now()), IsOk());
  const std::string before = *ReadFile(folder / "s/ca/ca.crt");
  EXPECT_THAT(InitServer(folder / "s", options, SystemClock().Now()),
              StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_EQ(*ReadFile(folder / "s/ca/ca.crt"), before);
}

TEST(InitServer, DoesNotTouchAFolderThatLooksHalfMade) {
  const testing::TempFolder folder;
  const ServerOptions options{.federation = "lungs", .host = "localhost"};
  ASSERT_THAT(InitServer(folder / "s", options, SystemClock().Now()), IsOk());
  const std::string before = *ReadFile(folder / "s/ca/ca.crt");
  std::filesystem::remove(folder / "s/server.yaml");
  EXPECT_THAT(InitServer(folder / "s", options, SystemClock().Now()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("not empty")));
  EXPECT_EQ(*ReadFile(folder / "s/ca/ca.crt"), before);
}

}  // namespace
}  // namespace consilium
