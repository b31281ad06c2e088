#include "client/rpc/coordinator_client.h"

#include "certs/passphrase.h"
#include "client/rpc/fetch_authority.h"
#include "common/base/file.h"
#include "common/crypto/issue.h"
#include "common/rpc/blob_transfer.h"
#include "common/rpc/channel.h"
#include "common/rpc/credentials.h"
#include "common/rpc/protocol.h"
#include "common/rpc/unary_call.h"
#include "consilium/v1/enrolment.grpc.pb.h"

namespace consilium {
namespace {

constexpr std::chrono::seconds kTimeout{30};
// What a long poll's answer may take beyond its wait.
constexpr std::chrono::seconds kPollSlack{15};
// A report of a large model is admitted, its file read, before it is answered.
constexpr std::chrono::minutes kReportTimeout{10};

std::string WithoutScheme(const std::string& address) {
  constexpr std::string_view kScheme = "https://";
  std::string rest = address.starts_with(kScheme) ? address.substr(kScheme.size()) : address;
  if (rest.ends_with('/')) rest.pop_back();
  return rest;
}

// The token works once: that its certificate can be kept must be known before it is sent.
Status CheckWritable(const std::filesystem::path& folder) {
  const std::filesystem::path wanted = std::filesystem::absolute(folder);
  std::filesystem::path existing = wanted;
  while (!std::filesystem::exists(existing)) existing = existing.parent_path();
  CSL_RETURN_IF_ERROR(MakeFolders(wanted));
  const std::filesystem::path probe = wanted / ".probe";
  const Status written = WriteFileAtomically(probe, "");
  std::error_code ignored;
  std::filesystem::remove(probe, ignored);
  for (std::filesystem::path made = wanted; made != existing; made = made.parent_path()) {
    std::filesystem::remove(made, ignored);
  }
  return written;
}

StatusOr<v1::JoinResponse> RequestCertificate(const std::string& address, const std::string& ca_pem,
                                              const std::string& token, const PrivateKey& key,
                                              const std::stop_token& stop) {
  v1::JoinRequest request;
  request.set_token(token);
  CSL_ASSIGN_OR_RETURN(*request.mutable_request_pem(), SigningRequest::Create(key));
  const auto stub = v1::EnrolmentService::NewStub(MakeChannel(address, EnrolmentTlsClient(ca_pem)));
  return CallUnary(&v1::EnrolmentService::Stub::Join, *stub, request, kTimeout, stop);
}

// Makes a short call, which tells how long the line is if it succeeds.
template <typename Call>
auto Timed(RoundTrips& round_trips, Call&& call) {
  const auto asked = std::chrono::steady_clock::now();
  auto response = call();
  if (response.ok()) round_trips.Note(std::chrono::steady_clock::now() - asked);
  return response;
}

v1::NextTaskRequest NewRequest() {
  v1::NextTaskRequest request;
  request.set_protocol(kProtocolMajor);
  request.set_software(std::string(SoftwareVersion()));
  return request;
}

}  // namespace

StatusOr<Identity> JoinFederation(const std::string& address, const std::string& token,
                                  const std::string& ca_sha256, const std::filesystem::path& folder,
                                  const std::stop_token& stop) {
  if (HasIdentity(folder)) {
    return AlreadyExists("{} holds an identity already; choose another folder", folder.string());
  }
  const std::string endpoint = WithoutScheme(address);
  if (endpoint.find(':') == std::string::npos) {
    return InvalidArgument("'{}': want HOST:PORT of the coordinator's enrolment", address);
  }
  CSL_ASSIGN_OR_RETURN(const std::string ca_pem, FetchAuthority(endpoint, ca_sha256));
  CSL_RETURN_IF_ERROR(CheckWritable(folder));
  CSL_RETURN_IF_ERROR(KeyPassphrase());  // before the token is used up
  CSL_ASSIGN_OR_RETURN(const PrivateKey key, PrivateKey::Generate());
  CSL_ASSIGN_OR_RETURN(const v1::JoinResponse response,
                       RequestCertificate(endpoint, ca_pem, token, key, stop));
  CSL_ASSIGN_OR_RETURN(const Certificate certificate,
                       Certificate::FromPem(response.certificate_pem()));
  CSL_ASSIGN_OR_RETURN(Identity identity, IdentityOf(certificate));
  if (!certificate.Matches(key) || identity.name != response.site()) {
    return DataLoss("the coordinator answered with a certificate that is not this hospital's");
  }
  Home home{.federation = response.federation(),
            .endpoint = response.endpoint(),
            .ca_pem = ca_pem,
            .certificate_pem = response.certificate_pem()};
  CSL_ASSIGN_OR_RETURN(home.key_pem, key.ToPem());
  CSL_RETURN_IF_ERROR(WriteHome(folder, home));
  return identity;
}

CoordinatorClient::Connection::Connection(const Home& home)
    : line{.open_another =
               [endpoint = home.endpoint,
                credentials = MutualTlsClient(home.ca_pem, {home.certificate_pem, home.key_pem})] {
                 return MakeChannel(endpoint, credentials);
               },
           .round_trips = std::make_shared<RoundTrips>()},
      channel(line.open_another()),
      tasks(v1::CoordinatorService::NewStub(channel)),
      models(v1::ModelService::NewStub(channel)),
      membership(v1::MembershipService::NewStub(channel)) {}

CoordinatorClient::CoordinatorClient(const Home& home, std::stop_token stop)
    : stop_(std::move(stop)), connection_(std::make_shared<const Connection>(home)) {}

std::shared_ptr<const CoordinatorClient::Connection> CoordinatorClient::connection() const {
  MutexLock lock(mu_);
  return connection_;
}

void CoordinatorClient::UseIdentity(const Home& home) {
  auto connection = std::make_shared<const Connection>(home);
  MutexLock lock(mu_);
  connection_ = std::move(connection);
}

Status CoordinatorClient::RenewIdentity(const std::filesystem::path& folder) {
  CSL_ASSIGN_OR_RETURN(HomeRenewal renewal, HomeRenewal::Begin(folder));
  v1::RenewRequest request;
  CSL_ASSIGN_OR_RETURN(*request.mutable_request_pem(), SigningRequest::Create(renewal.key()));
  CSL_ASSIGN_OR_RETURN(const v1::RenewResponse response,
                       CallUnary(&v1::MembershipService::Stub::Renew, *connection()->membership,
                                 request, kTimeout, stop_));
  return renewal.Finish(response.certificate_pem());
}

StatusOr<std::optional<v1::Task>> CoordinatorClient::NextTask(std::chrono::seconds wait,
                                                              const std::string& in_hand) {
  v1::NextTaskRequest request = NewRequest();
  request.set_wait_seconds(static_cast<std::uint32_t>(wait.count()));
  if (!in_hand.empty()) request.mutable_in_hand()->set_task_id(in_hand);
  CallContext context(wait + kPollSlack, stop_);
  CSL_ASSIGN_OR_RETURN(
      v1::NextTaskResponse response,
      CallUnary(&v1::CoordinatorService::Stub::NextTask, *connection()->tasks, request, context));
  coordinator_version_ = context.PeerVersion();
  if (!response.has_task()) return std::nullopt;
  return std::move(*response.mutable_task());
}

StatusOr<bool> CoordinatorClient::ReportProgress(const v1::TaskProgress& progress,
                                                 const std::stop_token& stop) {
  v1::NextTaskRequest request = NewRequest();
  *request.mutable_in_hand() = progress;
  const auto current = connection();
  CSL_ASSIGN_OR_RETURN(const v1::NextTaskResponse response, Timed(*current->line.round_trips, [&] {
                         return CallUnary(&v1::CoordinatorService::Stub::NextTask, *current->tasks,
                                          request, kTimeout, stop);
                       }));
  return response.in_hand_ended();
}

StatusOr<v1::ReportTaskResponse> CoordinatorClient::ReportTask(
    const v1::ReportTaskRequest& report) {
  const auto current = connection();
  return Timed(*current->line.round_trips, [&] {
    return CallUnary(&v1::CoordinatorService::Stub::ReportTask, *current->tasks, report,
                     kReportTimeout, stop_);
  });
}

StatusOr<v1::Signed> CoordinatorClient::GetManifest(const v1::ModelRef& model) {
  v1::GetManifestRequest request;
  request.set_run_id(model.run_id());
  request.set_round(model.round());
  CSL_ASSIGN_OR_RETURN(v1::GetManifestResponse response,
                       CallUnary(&v1::ModelService::Stub::GetManifest, *connection()->models,
                                 request, kTimeout, stop_));
  return std::move(*response.mutable_manifest());
}

StatusOr<v1::GetReleaseResponse> CoordinatorClient::GetRelease(const std::string& channel) {
  v1::GetReleaseRequest request;
  request.set_channel(channel);
  return CallUnary(&v1::ModelService::Stub::GetRelease, *connection()->models, request, kTimeout,
                   stop_);
}

StatusOr<v1::ListModelsResponse> CoordinatorClient::ListModels(const std::string& run) {
  v1::ListModelsRequest request;
  request.set_run_id(run);
  return CallUnary(&v1::ModelService::Stub::ListModels, *connection()->models, request, kTimeout,
                   stop_);
}

StatusOr<CoordinatorClient::Greeting> CoordinatorClient::Greet() {
  const SystemClock clock;
  CallContext context(kTimeout, stop_);
  const TimePoint asked = clock.Now();
  CSL_RETURN_IF_ERROR(CallUnary(&v1::ModelService::Stub::ListModels, *connection()->models,
                                v1::ListModelsRequest(), context));
  const TimePoint middle = asked + (clock.Now() - asked) / 2;
  return Greeting{.version = context.PeerVersion(),
                  .clock_ahead = context.PeerTime().value_or(middle) - middle};
}

Status CoordinatorClient::Upload(std::span<const std::byte> bytes, const std::string& digest,
                                 const std::string& task_id, const std::stop_token& stop,
                                 const TransferCallback& on_chunk, bool may_fill_line) {
  const auto current = connection();
  return UploadBlob(current->channel, bytes, digest, task_id, stop, on_chunk,
                    may_fill_line ? current->line : Line());
}

Status CoordinatorClient::Download(const std::string& digest, std::uint64_t max_bytes,
                                   const std::filesystem::path& path, const std::stop_token& stop,
                                   const TransferCallback& on_chunk) {
  return DownloadBlob(connection()->channel, digest, path, max_bytes, stop, on_chunk);
}

Status CoordinatorClient::Download(const std::string& digest, std::uint64_t max_bytes,
                                   std::string& bytes, const std::filesystem::path& part,
                                   const std::stop_token& stop, const TransferCallback& on_chunk) {
  return DownloadBlob(connection()->channel, digest, max_bytes, bytes, part, stop, on_chunk);
}

}  // namespace consilium
