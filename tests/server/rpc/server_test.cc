// The coordinator over real TLS: who gets in, and what they get.

#include "server/rpc/server.h"

#include <gmock/gmock.h>
#include <openssl/ssl.h>
#include <sys/stat.h>

#include <set>
#include <thread>

#include "common/base/file.h"
#include "common/config/plan.h"
#include "common/crypto/digest.h"
#include "common/rpc/blob_transfer.h"
#include "common/rpc/grpc_status.h"
#include "tests/testing/live_server.h"
#include "tests/testing/small_model.h"

namespace consilium {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::LiveServer;
using testing::StatusIs;

constexpr auto kDenied = absl::StatusCode::kPermissionDenied;
constexpr std::chrono::seconds kTimeout{10};

class ServerTest : public ::testing::Test {
 protected:
  Status ListSites(const std::shared_ptr<grpc::Channel>& channel) {
    CallContext context(kTimeout, {});
    v1::ListSitesResponse response;
    return FromGrpc(v1::AdminService::NewStub(channel)->ListSites(context.get(), {}, &response));
  }
  // Submits a one-round run of the small model and gives its id.
  std::string Submit(const std::string& initial_digest = "") {
    v1::SubmitRunRequest request;
    *request.mutable_plan() = SmallPlan();
    request.set_initial_model_digest(initial_digest);
    CallContext context(kTimeout, {});
    v1::SubmitRunResponse response;
    EXPECT_THAT(FromGrpc(server_.Admin()->SubmitRun(context.get(), request, &response)), IsOk());
    return response.run_id();
  }
  static v1::RunPlan SmallPlan() {
    v1::RunPlan plan = DefaultPlan();
    plan.set_rounds(1);
    plan.mutable_quorum()->set_count(1);
    plan.mutable_model()->set_architecture("simple_cnn");
    plan.mutable_model()->set_input_size(32);
    return plan;
  }
  static std::string SmallModel(const Provenance& provenance, std::uint64_t seed) {
    return testing::EncodeFile({testing::SmallSpec(), provenance},
                               testing::RandomState(testing::SmallLayout(), seed));
  }

  static v1::ReportTaskRequest ResultOf(const v1::Task& task, const std::string& digest,
                                        std::uint64_t train_examples) {
    v1::ReportTaskRequest report;
    report.set_task_id(task.task_id());
    report.mutable_result()->set_blob_digest(digest);
    report.mutable_result()->set_train_examples(train_examples);
    return report;
  }
  static v1::Task NextTask(CoordinatorClient& client) {
    const auto task = client.NextTask(std::chrono::seconds(10));
    EXPECT_THAT(task, IsOk());
    return task.ok() && *task ? **task : v1::Task();
  }
  // Does the client's next task with these bytes as its result.
  static void Deliver(CoordinatorClient& client, const std::string& bytes, std::uint64_t n) {
    const v1::Task task = NextTask(client);
    const std::string digest = Sha256Of(bytes);
    ASSERT_THAT(client.Upload(AsBytes(bytes), digest, task.task_id()), IsOk());
    const auto report = ResultOf(task, digest, n);
    EXPECT_THAT(client.ReportTask(report), IsOk());
    EXPECT_THAT(client.ReportTask(report), IsOk());  // once more: the same answer
  }

  LiveServer server_;
};

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
  home.ca_pem = Authority::Create(other.path(), "lungs", SystemClock().Now())->pem();
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
  CallContext context(kTimeout, {});
  v1::RevokeSiteRequest request;
  request.set_site("north");
  v1::RevokeSiteResponse response;
  ASSERT_TRUE(server_.Admin()->RevokeSite(context.get(), request, &response).ok());
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
  ASSERT_THAT(south.Download(digest, path), IsOk());
  ASSERT_OK_AND_ASSIGN(const Model global, ReadModel(path));
  const ModelState a = testing::RandomState(testing::SmallLayout(), 2);
  const ModelState b = testing::RandomState(testing::SmallLayout(), 3);
  EXPECT_EQ(global.state.values[0], static_cast<float>((30.0 * static_cast<double>(a.values[0]) +
                                                        10.0 * static_cast<double>(b.values[0])) /
                                                       40));
  // Another hospital's update is not to be had, nor its leftovers.
  EXPECT_THAT(south.Download(Sha256Of(north_update), server_.folder() / "stolen"),
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
  EXPECT_THAT(north.Download(evaluate.model().digest(), server_.folder() / "global"), IsOk());
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
  EXPECT_THAT(south.Download(Sha256Of(initial), server_.folder() / "initial"), IsOk());
  EXPECT_THAT(west.ReportTask(ResultOf(NextTask(west), Sha256Of(update), 0)),
              StatusIs(testing::kInvalid));
  // The quorum of one holds, and north's update is still there to be averaged.
  EXPECT_EQ(NextTask(north).kind(), v1::TASK_KIND_EVALUATE);
}

TEST_F(ServerTest, UploadsAreForTheSitesOwnOpenTask) {
  CoordinatorClient north(server_.Join("north"), {});
  CoordinatorClient south(server_.Join("south"), {});
  Submit();
  ASSERT_OK_AND_ASSIGN(const auto task, north.NextTask(std::chrono::seconds(10)));
  const std::string bytes = "some bytes";
  EXPECT_THAT(south.Upload(AsBytes(bytes), Sha256Of(bytes), task->task_id()), StatusIs(kDenied));
  EXPECT_THAT(north.Upload(AsBytes(bytes), Sha256Of(bytes), "no.such.task"), StatusIs(kDenied));
  v1::ReportTaskRequest report;
  report.set_task_id(task->task_id());
  report.mutable_failure()->set_reason("sabotage");
  EXPECT_THAT(south.ReportTask(report), StatusIs(kDenied));
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

TEST_F(ServerTest, LargeBlobsGoBothWaysAndResume) {
  // An admin's initial model of several chunks, downloaded in two pieces.
  server_.Join("north");
  const auto layout = *Layout::Create({{"w", {1'500'000}}});
  const std::string bytes =
      testing::EncodeFile({.spec = testing::SmallSpec()}, testing::RandomState(layout, 5));
  const std::string digest = Sha256Of(bytes);
  const auto stub = v1::BlobService::NewStub(LiveServer::Channel(server_.AdminHome()));
  ASSERT_THAT(UploadBlob(*stub, AsBytes(bytes), digest, "", {}), IsOk());
  ASSERT_THAT(UploadBlob(*stub, AsBytes(bytes), digest, "", {}), IsOk());  // held already
  Submit(digest);
  const auto path = server_.folder() / "pulled";
  ASSERT_THAT(WriteFileAtomically(path.string() + "." + digest.substr(0, 16) + ".part",
                                  bytes.substr(0, 2'345'678)),
              IsOk());
  ASSERT_THAT(DownloadBlob(*stub, digest, path, {}), IsOk());
  EXPECT_EQ(Sha256Of(MappedFile::Open(path)->bytes()), digest);

  // A part that is not of this blob is found out, dropped, and the next attempt is whole.
  std::filesystem::remove(path);
  ASSERT_THAT(
      WriteFileAtomically(path.string() + "." + digest.substr(0, 16) + ".part", "other bytes"),
      IsOk());
  EXPECT_THAT(DownloadBlob(*stub, digest, path, {}), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_THAT(DownloadBlob(*stub, digest, path, {}), IsOk());

  // The same into memory.
  const auto part = server_.folder() / "memory.part";
  std::string held = bytes.substr(0, 2'345'678);
  EXPECT_THAT(DownloadBlob(*stub, digest, bytes.size(), held, part, {}), IsOk());
  EXPECT_TRUE(held == bytes);
  held = "other bytes";
  EXPECT_THAT(DownloadBlob(*stub, digest, bytes.size(), held, part, {}),
              StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_EQ(held, "");
  EXPECT_THAT(DownloadBlob(*stub, digest, bytes.size() - 1, held, part, {}),
              StatusIs(absl::StatusCode::kResourceExhausted));

  // What a process before this one wrote down of it is not fetched again.
  held.clear();
  ASSERT_THAT(WriteFileAtomically(part, bytes.substr(0, 2'345'678)), IsOk());
  std::uint64_t first = 0;
  const auto on_chunk = [&](std::uint64_t done, std::uint64_t) {
    if (first == 0) first = done;
  };
  EXPECT_THAT(DownloadBlob(*stub, digest, bytes.size(), held, part, {}, on_chunk), IsOk());
  EXPECT_TRUE(held == bytes);
  EXPECT_GT(first, 2'345'678U);
  EXPECT_FALSE(std::filesystem::exists(part));
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
  EXPECT_EQ(shown.tasks(0).progress().done(), 3U);
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

TEST_F(ServerTest, UploadGoesOnWhereItWasCut) {
  server_.Join("north");
  const auto layout = *Layout::Create({{"w", {1'500'000}}});
  const std::string bytes =
      testing::EncodeFile({.spec = testing::SmallSpec()}, testing::RandomState(layout, 6));
  const std::string digest = Sha256Of(bytes);
  const auto stub = v1::BlobService::NewStub(LiveServer::Channel(server_.AdminHome()));
  v1::StatUploadRequest stat;
  stat.mutable_blob()->set_digest(digest);
  stat.mutable_blob()->set_size_bytes(bytes.size());
  {
    v1::UploadRequest request;
    *request.mutable_header()->mutable_blob() = stat.blob();
    v1::UploadResponse response;
    CallContext context(kTimeout, {});
    const auto writer = stub->Upload(context.get(), &response);
    ASSERT_TRUE(writer->Write(request));
    request.set_data(bytes.substr(0, 1'234'567));
    ASSERT_TRUE(writer->Write(request));
    writer->WritesDone();
    EXPECT_FALSE(writer->Finish().ok());
  }
  const auto held = [&] {
    CallContext context(kTimeout, {});
    v1::StatUploadResponse response;
    EXPECT_TRUE(stub->StatUpload(context.get(), stat, &response).ok());
    return response;
  };
  EXPECT_EQ(held().held_bytes(), 1'234'567U);
  ASSERT_THAT(UploadBlob(*stub, AsBytes(bytes), digest, "", {}), IsOk());
  EXPECT_TRUE(held().complete());
  Submit(digest);
  EXPECT_THAT(DownloadBlob(*stub, digest, server_.folder() / "pulled", {}), IsOk());
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
    if (entry.path().extension() != ".key") continue;
    ++keys;
    EXPECT_EQ(entry.status().permissions(), std::filesystem::perms(0600)) << entry.path();
  }
  EXPECT_EQ(keys, 3);  // the authority's, the server's, the admin's
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

// Every field of free size in what a hospital can send: the model file's chunks, which are admitted
// as a model of known size and layout, and text and counts, which the client fills itself. An image
// has no other way out; a field that is added shows up here.
TEST(Wire, FieldsOfFreeSizeThatLeaveAHospitalAreKnown) {
  std::vector<const google::protobuf::Descriptor*> todo;
  const auto* file = google::protobuf::DescriptorPool::generated_pool();
  for (const std::string service :
       {"CoordinatorService", "ModelService", "BlobService", "EnrolmentService"}) {
    const auto* descriptor = file->FindServiceByName("consilium.v1." + service);
    ASSERT_NE(descriptor, nullptr) << service;
    for (int i = 0; i < descriptor->method_count(); ++i) {
      todo.push_back(descriptor->method(i)->input_type());
    }
  }
  using Field = google::protobuf::FieldDescriptor;
  std::set<std::string> fields;
  std::set<std::string> seen;
  while (!todo.empty()) {
    const auto* message = todo.back();
    todo.pop_back();
    if (!seen.insert(message->full_name()).second) continue;
    for (int i = 0; i < message->field_count(); ++i) {
      const Field* field = message->field(i);
      if (field->message_type() != nullptr) todo.push_back(field->message_type());
      if (field->is_repeated() || field->type() == Field::TYPE_BYTES ||
          field->type() == Field::TYPE_STRING) {
        fields.insert(field->full_name().substr(std::string("consilium.v1.").size()));
      }
    }
  }
  EXPECT_THAT(fields,
              ::testing::UnorderedElementsAre(
                  "UploadRequest.data", "BlobRef.digest", "UploadRequest.Header.task_id",
                  "StatUploadRequest.task_id", "DownloadRequest.digest", "ListModelsRequest.run_id",
                  "NextTaskRequest.software", "TaskProgress.task_id", "ReportTaskRequest.task_id",
                  "TaskResult.blob_digest", "TaskFailure.reason", "Evaluation.confusion",
                  "Evaluation.histogram", "JoinRequest.token", "JoinRequest.request_pem"));
}

}  // namespace
}  // namespace consilium
