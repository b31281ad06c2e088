// Everybody who should not get in, at every call there is. The matrix is printed; each of its cells
// is asserted, and so is what the audit trail says of the attempt.

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <openssl/ssl.h>

#include <functional>
#include <set>

#include "certs/model_manifest.h"
#include "common/audit/trail.h"
#include "common/crypto/issue.h"
#include "common/rpc/credentials.h"
#include "consilium/v1/blob.grpc.pb.h"
#include "consilium/v1/enrolment.pb.h"
#include "server/rpc/access.h"
#include "server/rpc/gate.h"
#include "server/store/store.h"
#include "tests/server/rpc/every_call.h"
#include "tests/server/rpc/server_fixture.h"

namespace consilium {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::LiveServer;

// Tries a call; OK where it got in.
using Attempt = std::function<Status(const std::string& rpc)>;

struct Intruder {
  std::string name;
  // Connects, if at all, for as long as the attempt lives.
  std::function<Attempt()> arrive;
  // Calls that are no intrusion: it may make them by the table, or they name nothing of another's.
  std::function<bool(const std::string& rpc)> may_call;
  std::string trace;  // what an entry of the trail says of it
};

class IntruderTest : public ServerTest {
 protected:
  static bool Nothing(const std::string& /*rpc*/) { return false; }

  std::shared_ptr<grpc::Channel> MemberChannel(const std::string& chain_pem,
                                               const PrivateKey& key) const {
    return MakeChannel(server_.endpoint(),
                       MutualTlsClient(server_.authority().root_pem(), {chain_pem, *key.ToPem()}));
  }
  using Connect = std::function<std::shared_ptr<grpc::Channel>()>;

  // With a hospital's certificate of an authority, made at a time.
  Connect Shows(const Authority& authority, TimePoint made) const {
    return [this, authority, made] {
      const PrivateKey key = *PrivateKey::Generate();
      return MemberChannel(*authority.IssueClient(key, {"lungs", Role::kHospital, "north"}, made),
                           key);
    };
  }
  static Connect As(const Home& home) {
    return [home] { return LiveServer::Channel(home); };
  }
  static Intruder On(const std::string& name, Connect connect, const std::string& trace,
                     std::function<bool(const std::string&)> may_call = Nothing) {
    const auto arrive = [connect = std::move(connect)]() -> Attempt {
      return [channel = connect()](const std::string& rpc) { return MakeCall(channel, rpc); };
    };
    return {name, arrive, std::move(may_call), trace};
  }
  // A hospital that makes these calls with one task in them.
  Intruder About(const std::string& name, const Home& home, const v1::Task& task,
                 const std::string& update, const std::set<std::string>& calls,
                 const std::string& trace) const {
    const auto arrive = [=]() -> Attempt {
      return [=, channel = LiveServer::Channel(home)](const std::string& rpc) {
        return MakeCall(channel, rpc, MessageAbout(rpc, task, update));
      };
    };
    return {name, arrive, [calls](const std::string& rpc) { return !calls.contains(rpc); }, trace};
  }
  // What a call says that delivers an update as this task's.
  static std::string MessageAbout(const std::string& rpc, const v1::Task& task,
                                  const std::string& update) {
    const std::string digest = Sha256Of(update);
    if (rpc == "CoordinatorService/ReportTask") {
      return ResultOf(task, digest, 5).SerializeAsString();
    }
    v1::BlobRef blob;
    blob.set_digest(digest);
    blob.set_size_bytes(update.size());
    if (rpc == "BlobService/Upload") {
      v1::UploadRequest request;
      *request.mutable_header()->mutable_blob() = blob;
      request.mutable_header()->set_task_id(task.task_id());
      return request.SerializeAsString();
    }
    v1::StatUploadRequest request;
    *request.mutable_blob() = blob;
    request.set_task_id(task.task_id());
    return request.SerializeAsString();
  }
  // A token whose time was over before the server started.
  void AddExpiredToken(const std::string& token) {
    server_.Stop();
    {
      const auto store = *Store::Open(server_.folder() / "s/consilium.db");
      ASSERT_THAT(store->AddToken({.hash = Sha256Of(token), .member = "late", .expires = {}}),
                  IsOk());
    }
    server_.Start();
  }
  // Makes a connection of its own for each attempt.
  static Intruder Each(const std::string& name, const Attempt& attempt, const std::string& trace) {
    return {name, [attempt] { return attempt; }, Nothing, trace};
  }

  // Speaks TLS 1.2 at most, with a good certificate.
  Status TryTls12(const Home& home) const {
    const std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
    SSL_CTX_set_max_proto_version(context.get(), TLS1_2_VERSION);
    const PrivateKey key = *PrivateKey::FromPem(home.key_pem);
    const Certificate certificate = *Certificate::FromPem(home.certificate_pem);
    SSL_CTX_use_certificate(context.get(), certificate.get());
    SSL_CTX_use_PrivateKey(context.get(), key.get());
    const std::shared_ptr<BIO> bio(BIO_new_ssl_connect(context.get()), BIO_free_all);
    BIO_set_conn_hostname(bio.get(), server_.endpoint().c_str());
    return BIO_do_handshake(bio.get()) == 1 ? OkStatus() : Unavailable("no handshake");
  }

  Status TryToken(const std::string& token, const std::string& rpc) const {
    if (!IsOpenToAll(rpc)) return Unavailable("a token is good for joining alone");
    v1::JoinRequest request;
    request.set_token(token);
    request.set_request_pem(*SigningRequest::Create(*PrivateKey::Generate()));
    return MakeCall(
        MakeChannel(server_.enrol_endpoint(), EnrolmentTlsClient(server_.authority().root_pem())),
        rpc, request.SerializeAsString());
  }

  // The reasons of all refusals in the trail.
  std::vector<std::string> Refusals() const {
    std::vector<std::string> reasons;
    EXPECT_THAT(VerifyTrail(server_.folder() / "s/audit.jsonl",
                            [&](const nlohmann::ordered_json& entry) {
                              if (entry["event"] == "refused") reasons.push_back(entry.dump());
                            }),
                IsOk());
    return reasons;
  }
};

TEST_F(IntruderTest, NobodyGetsInAndTheTrailNamesEachAttempt) {
  AddExpiredToken("old");
  const std::string spare_token = server_.Invite("north").token();
  const Home north = server_.Join("north");
  const Home south = server_.Join("south");
  const Home ward = server_.Join("ward", "inference");
  const Home eye = server_.Join("eye", "observer");
  const Home gone = server_.Join("gone");
  Revoke("gone");
  const TimePoint now = SystemClock().Now();
  testing::TempFolder elsewhere;
  const Authority other = *Authority::Create(elsewhere / "ca", "lungs", now);
  const PrivateKey own_key = *PrivateKey::Generate();
  const std::string own_pem = *CreateRoot(own_key, "north", now, std::chrono::days(1))->ToPem();
  const PrivateKey signing_key = *PrivateKey::Generate();
  const std::string signing_chain = *server_.authority().IssueSigner(
      signing_key, {"lungs", Role::kCoordinator, "coordinator"}, now);
  const std::string used_token = server_.Invite("east").token();
  ASSERT_THAT(TryToken(used_token, "EnrolmentService/Join"), IsOk());
  CoordinatorClient north_client(north, {});
  const std::string run = Submit();
  const v1::Task done = NextTask(north_client);
  const std::string update = SmallModel({.run = run}, 1);
  ASSERT_THAT(north_client.Upload(AsBytes(update), Sha256Of(update), done.task_id()), IsOk());
  ASSERT_THAT(north_client.ReportTask(ResultOf(done, Sha256Of(update), 5)), IsOk());
  const v1::Task open = NextTask(north_client);
  ASSERT_NE(open.task_id(), done.task_id());
  const auto may = [](Role role) {
    return [role](const std::string& rpc) { return MayCall(role, rpc); };
  };

  const std::vector<Intruder> intruders = {
      On(
          "no certificate",
          [&] {
            return MakeChannel(server_.endpoint(),
                               EnrolmentTlsClient(server_.authority().root_pem()));
          },
          "peer did not return a certificate"),
      On(
          "self-signed", [&] { return MemberChannel(own_pem, own_key); },
          "'north' is not trusted: self-signed"),
      On("other CA", Shows(other, now),
         "hospital/north: the certificate of 'north' is not trusted: unable to get local issuer"),
      On("expired", Shows(server_.authority(), now - std::chrono::days(400)),
         "hospital/north: the certificate of 'north' is not trusted: certificate has expired"),
      On("not yet valid", Shows(server_.authority(), now + std::chrono::days(10)),
         "hospital/north: the certificate of 'north' is not trusted: certificate is not yet valid"),
      On("revoked", As(gone), "hospital 'gone' was revoked"),
      On("unknown, of the right CA", Shows(server_.authority(), now),
         "hospital 'north' has another certificate now"),
      On(
          "the coordinator's signing key",
          [&] { return MemberChannel(signing_chain, signing_key); },
          "coordinator/coordinator: the certificate of 'coordinator' is not trusted: unsuitable"),
      On("observer in another's role", As(eye), "observer 'eye' may not call",
         may(Role::kObserver)),
      On("hospital as admin", As(north), "hospital 'north' may not call", may(Role::kHospital)),
      On("inference as hospital", As(ward), "inference 'ward' may not call", may(Role::kInference)),
      Each(
          "TLS 1.2", [&](const std::string&) { return TryTls12(north); }, "no shared cipher"),
      On(
          "plaintext",
          [&] {
            return grpc::CreateChannel(server_.endpoint(), grpc::InsecureChannelCredentials());
          },
          "TLS handshake: "),
      Each(
          "token reused", [&](const std::string& rpc) { return TryToken(used_token, rpc); },
          "this token was used already"),
      Each(
          "token that nobody was given",
          [&](const std::string& rpc) { return TryToken(std::string(48, 'a'), rpc); },
          "this token is not known"),
      Each(
          "token expired", [&](const std::string& rpc) { return TryToken("old", rpc); },
          "this token has expired"),
      Each(
          "token of another site",
          [&](const std::string& rpc) { return TryToken(spare_token, rpc); },
          "this token was used already"),  // all of a site's are, once it has joined
      About("another hospital's task", south, open, update,
            {"BlobService/StatUpload", "BlobService/Upload", "CoordinatorService/ReportTask"},
            "site 'south'"),
      // A report that comes again gets the first one's answer, and changes nothing.
      About("replayed upload", north, done, update,
            {"BlobService/StatUpload", "BlobService/Upload"}, "site 'north' has no open task"),
  };

  fmt::print("{:32}", "");
  const auto calls = AllCalls();
  for (std::size_t i = 0; i < calls.size(); ++i) fmt::print("{:3}", i + 1);
  fmt::print("\n");
  for (const Intruder& intruder : intruders) {
    const std::size_t before = Refusals().size();
    const Attempt attempt = intruder.arrive();
    std::string cells;
    std::size_t attempts = 0;
    for (const std::string& rpc : calls) {
      if (intruder.may_call(rpc)) {
        cells += "  .";
        continue;
      }
      const Status answer = attempt(rpc);
      EXPECT_FALSE(answer.ok()) << intruder.name << " got into " << rpc;
      EXPECT_FALSE(absl::IsInternal(answer)) << intruder.name << " at " << rpc << ": " << answer;
      cells += answer.ok() ? " IN" : "  -";
      ++attempts;
    }
    fmt::print("{:32}{}\n", intruder.name, cells);
    EXPECT_GT(attempts, 0U) << intruder.name;
    const auto refusals = Refusals();
    EXPECT_GT(refusals.size(), before) << intruder.name << " left no trace";
    for (std::size_t i = before; i < refusals.size(); ++i) {
      EXPECT_THAT(refusals[i], HasSubstr(intruder.trace)) << intruder.name;
    }
  }
  std::size_t number = 0;
  for (const std::string& rpc : calls) fmt::print("{:3} {}\n", ++number, rpc);
  fmt::print("- refused, . no intrusion (allowed to this role by the table), IN got in\n");
}

// Tokens are looked at when they are used.
TEST_F(IntruderTest, TokenThatHasExpiredOrIsOfSomebodyWhoJoinedIsRefused) {
  const std::string expired = server_.Invite("late").token();
  const std::string spare = server_.Invite("north").token();
  server_.Join("north");
  AddExpiredToken("old");
  EXPECT_THAT(TryToken("old", "EnrolmentService/Join"),
              testing::StatusIs(kDenied, HasSubstr("expired")));
  // A token of a site that has joined meanwhile, with another one.
  EXPECT_THAT(TryToken(spare, "EnrolmentService/Join"), testing::StatusIs(kDenied));
  EXPECT_THAT(Refusals(), ::testing::Contains(HasSubstr("this token has expired")));
  // It is for one site: whoever has it becomes that site and no other.
  EXPECT_THAT(TryToken(expired, "EnrolmentService/Join"), IsOk());
}

TEST_F(IntruderTest, HospitalReachesNoOthersTasksAndReplaysNothing) {
  CoordinatorClient north(server_.Join("north"), {});
  CoordinatorClient south(server_.Join("south"), {});
  Submit();
  const v1::Task task = NextTask(north);
  const std::string update = SmallModel({.run = task.run_id()}, 1);
  const std::string digest = Sha256Of(update);
  EXPECT_THAT(south.Upload(AsBytes(update), digest, task.task_id()), testing::StatusIs(kDenied));
  EXPECT_THAT(south.ReportTask(ResultOf(task, digest, 5)), testing::StatusIs(kDenied));
  ASSERT_THAT(north.Upload(AsBytes(update), digest, task.task_id()), IsOk());
  ASSERT_THAT(north.ReportTask(ResultOf(task, digest, 5)), IsOk());
  // Once more, after it counted: nothing is taken, nothing changes.
  EXPECT_THAT(north.Upload(AsBytes(update), digest, task.task_id()), testing::StatusIs(kDenied));
  ASSERT_OK_AND_ASSIGN(const v1::ListModelsResponse models, north.ListModels(""));
  EXPECT_EQ(models.models_size(), 1);
  EXPECT_THAT(Refusals(), ::testing::Contains(
                              ::testing::AllOf(HasSubstr("south"), HasSubstr("has no open task"))));
}

TEST_F(IntruderTest, InferenceGetsWhatIsReleasedAndNothingElse) {
  CoordinatorClient north(server_.Join("north"), {});
  CoordinatorClient ward(server_.Join("ward", "inference"), {});
  const std::string run = Submit();
  const v1::Task task = NextTask(north);
  const std::string model = SmallModel({.run = run}, 1);
  const std::string digest = Sha256Of(model);
  ASSERT_THAT(north.Upload(AsBytes(model), digest, task.task_id()), IsOk());
  ASSERT_THAT(north.ReportTask(ResultOf(task, digest, 0)), IsOk());
  EXPECT_THAT(ward.GetRelease("stable"), testing::StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(ward.Download(digest, kMaxModelBytes, server_.folder() / "m"),
              testing::StatusIs(kDenied));

  v1::ReleaseModelRequest release;
  release.set_run_id(run);
  release.set_channel("stable");
  {
    CallContext context(kTimeout, {});
    v1::ReleaseModelResponse response;
    ASSERT_TRUE(server_.Admin()->ReleaseModel(context.get(), release, &response).ok());
  }
  ASSERT_OK_AND_ASSIGN(const v1::GetReleaseResponse released, ward.GetRelease("stable"));
  EXPECT_EQ(released.model().digest(), digest);
  ASSERT_OK_AND_ASSIGN(
      const v1::ModelManifest manifest,
      VerifyManifest(released.manifest(), server_.authority().root(), SystemClock().Now()));
  EXPECT_EQ(manifest.channel(), "stable");
  EXPECT_THAT(ward.Download(digest, kMaxModelBytes, server_.folder() / "m"), IsOk());

  v1::WithdrawModelRequest withdraw;
  withdraw.set_run_id(run);
  withdraw.set_channel("stable");
  CallContext context(kTimeout, {});
  v1::WithdrawModelResponse response;
  ASSERT_TRUE(server_.Admin()->WithdrawModel(context.get(), withdraw, &response).ok());
  EXPECT_THAT(ward.GetRelease("stable"), testing::StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(ward.Download(digest, kMaxModelBytes, server_.folder() / "n"),
              testing::StatusIs(kDenied));
}

TEST_F(IntruderTest, JoiningIsTriedSoOftenAndNoMore) {
  Status last;
  int refused = 0;
  for (int i = 0; i < 60 && !absl::IsUnavailable(last); ++i) {
    last = TryToken("wrong", "EnrolmentService/Join");
    refused += absl::IsPermissionDenied(last) ? 1 : 0;
  }
  EXPECT_THAT(last, testing::StatusIs(absl::StatusCode::kUnavailable, HasSubstr("too many")));
  EXPECT_GE(refused, static_cast<int>(Gate::kJoinBurst));
}

}  // namespace
}  // namespace consilium
