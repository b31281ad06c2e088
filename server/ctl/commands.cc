#include "server/ctl/commands.h"

#include <fmt/ostream.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "certs/home.h"
#include "common/base/file.h"
#include "common/cli/cli.h"
#include "common/config/plan.h"
#include "common/crypto/digest.h"
#include "common/crypto/issue.h"
#include "common/model/model_file.h"
#include "common/rpc/blob_transfer.h"
#include "common/rpc/channel.h"
#include "common/rpc/credentials.h"
#include "common/rpc/grpc_status.h"
#include "consilium/v1/admin.grpc.pb.h"
#include "consilium/v1/coordinator.grpc.pb.h"
#include "consilium/v1/membership.grpc.pb.h"
#include "server/ctl/run_view.h"

namespace consilium {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::chrono::seconds kTimeout{30};
constexpr std::chrono::milliseconds kWatchInterval{500};
constexpr std::chrono::days kSoon{60};  // for a certificate to end

// " (29 days left)", where it is time to think of it.
std::string EndsSoon(const v1::Site& site, TimePoint now) {
  const auto left = std::chrono::floor<std::chrono::days>(
      FromUnixMillis(site.certificate_expires_unix_ms()) - now);
  if (site.status() == "revoked" || left > kSoon) return "";
  return left.count() < 0 ? " (ended)" : fmt::format(" ({} days left)", left.count());
}

bool IsEnded(const v1::RunSummary& run) { return run.ended_unix_ms() != 0; }

}  // namespace

struct Ctl::Parts {
  std::filesystem::path home;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::AdminService::Stub> admin;
  std::unique_ptr<v1::ModelService::Stub> models;
  std::unique_ptr<v1::BlobService::Stub> blobs;
  std::unique_ptr<v1::MembershipService::Stub> membership;
  bool json = false;
  std::stop_token stop;

  // One unary call: Call(&v1::AdminService::Stub::Invite, *admin, request).
  template <typename Stub, typename Request, typename Response>
  StatusOr<Response> Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                       Response*),
                          Stub& stub, const Request& request) {
    CallContext context(kTimeout, stop);
    Response response;
    CSL_RETURN_IF_ERROR(FromGrpc((stub.*method)(context.get(), request, &response)));
    return response;
  }

  // One that changes nothing, so it is tried again while the network is away.
  template <typename Method, typename Stub, typename Request>
  auto Ask(Method method, Stub& stub, const Request& request) {
    return Retry(*channel, stop, [&] { return Call(method, stub, request); });
  }

  Status Renew() {
    CSL_ASSIGN_OR_RETURN(HomeRenewal renewal, HomeRenewal::Begin(home));
    v1::RenewRequest request;
    CSL_ASSIGN_OR_RETURN(*request.mutable_request_pem(), SigningRequest::Create(renewal.key()));
    CSL_ASSIGN_OR_RETURN(const v1::RenewResponse response,
                         Call(&v1::MembershipService::Stub::Renew, *membership, request));
    return renewal.Finish(response.certificate_pem());
  }

  StatusOr<v1::GetRunResponse> GetRun(const std::string& run, int from_round = 0) {
    v1::GetRunRequest request;
    request.set_run_id(run);
    request.set_from_round(static_cast<std::uint32_t>(from_round));
    return Ask(&v1::AdminService::Stub::GetRun, *admin, request);
  }

  StatusOr<v1::ListModelsResponse> GetModels(const std::string& run) {
    v1::ListModelsRequest request;
    request.set_run_id(run);
    return Ask(&v1::ModelService::Stub::ListModels, *models, request);
  }

  // "RUN@ROUND", or "RUN" for its last model.
  StatusOr<v1::ModelRef> FindModel(const std::string& name) {
    const std::size_t at = name.find('@');
    const std::string run = name.substr(0, at);
    CSL_ASSIGN_OR_RETURN(const v1::ListModelsResponse response, GetModels(run));
    const auto& refs = response.models();
    for (auto model = refs.rbegin(); model != refs.rend(); ++model) {
      if (at == std::string::npos || name.substr(at + 1) == std::to_string(model->round())) {
        return *model;
      }
    }
    return NotFound("there is no model '{}'; want RUN or RUN@ROUND, see: model list", name);
  }

  StatusOr<std::string> UploadInitialModel(const std::filesystem::path& path) {
    CSL_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
    const auto header = ParseModelHeader(file.bytes());
    if (!header.ok()) return Annotate(header.status(), path.string());
    std::string digest = Sha256Of(file.bytes());
    CSL_RETURN_IF_ERROR(
        Retry(*channel, stop, [&] { return UploadBlob(*blobs, file.bytes(), digest, "", stop); }));
    return digest;
  }
};

StatusOr<Ctl> Ctl::Open(const std::filesystem::path& home, bool json, const std::stop_token& stop) {
  CSL_ASSIGN_OR_RETURN(const Home identity, ReadHome(home));
  auto parts = std::make_unique<Parts>();
  const auto& channel = parts->channel =
      MakeChannel(identity.endpoint,
                  MutualTlsClient(identity.ca_pem, {identity.certificate_pem, identity.key_pem}));
  parts->admin = v1::AdminService::NewStub(channel);
  parts->models = v1::ModelService::NewStub(channel);
  parts->blobs = v1::BlobService::NewStub(channel);
  parts->membership = v1::MembershipService::NewStub(channel);
  parts->home = home;
  parts->json = json;
  parts->stop = stop;
  CSL_ASSIGN_OR_RETURN(const bool is_due, IsRenewalDue(identity, SystemClock().Now()));
  if (is_due) {  // whoever only types commands has nothing else that renews
    if (const Status renewed = parts->Renew(); !renewed.ok()) {
      fmt::print(stderr, "warning: the certificate in {} was not renewed: {}\n", home.string(),
                 std::string(renewed.message()));
    }
  }
  return Ctl(std::move(parts));
}

Ctl::Ctl(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Ctl::Ctl(Ctl&&) noexcept = default;
Ctl::~Ctl() = default;

Status Ctl::Invite(const std::string& site, const std::string& role) {
  v1::InviteRequest request;
  request.set_site(site);
  request.set_role(role);
  CSL_ASSIGN_OR_RETURN(const v1::InviteResponse invite,
                       parts_->Call(&v1::AdminService::Stub::Invite, *parts_->admin, request));
  const std::string command =
      fmt::format("consilium-client join {} --token {} --ca-sha256 {} --dir {}",
                  invite.enrol_endpoint(), invite.token(), invite.ca_sha256(), site);
  if (parts_->json) {
    fmt::print("{}\n", Json{{"site", site},
                            {"endpoint", invite.enrol_endpoint()},
                            {"token", invite.token()},
                            {"ca_sha256", invite.ca_sha256()},
                            {"expires_unix_ms", invite.expires_unix_ms()},
                            {"command", command}}
                           .dump(2));
    return OkStatus();
  }
  fmt::print("{}\n", command);
  fmt::print(stderr, "Send this line to {} on a channel you trust. It works once, until {} UTC.\n",
             site, FormatTime(invite.expires_unix_ms()));
  return OkStatus();
}

Status Ctl::ListSites() {
  CSL_ASSIGN_OR_RETURN(
      const v1::ListSitesResponse response,
      parts_->Ask(&v1::AdminService::Stub::ListSites, *parts_->admin, v1::ListSitesRequest()));
  const TimePoint now = SystemClock().Now();
  Json list = Json::array();
  std::vector<std::vector<std::string>> rows = {
      {"site", "role", "status", "joined", "last seen", "certificate until"}};
  for (const v1::Site& site : response.sites()) {
    list.push_back({{"site", site.name()},
                    {"role", site.role()},
                    {"status", site.status()},
                    {"joined_unix_ms", site.joined_unix_ms()},
                    {"last_seen_unix_ms", site.last_seen_unix_ms()},
                    {"certificate_expires_unix_ms", site.certificate_expires_unix_ms()}});
    rows.push_back({site.name(), site.role(), site.status(), FormatTime(site.joined_unix_ms()),
                    FormatTime(site.last_seen_unix_ms()),
                    FormatTime(site.certificate_expires_unix_ms()) + EndsSoon(site, now)});
  }
  fmt::print("{}", parts_->json ? list.dump(2) + "\n" : FormatTable(rows));
  return OkStatus();
}

Status Ctl::RevokeSite(const std::string& site) {
  v1::RevokeSiteRequest request;
  request.set_site(site);
  CSL_RETURN_IF_ERROR(parts_->Call(&v1::AdminService::Stub::RevokeSite, *parts_->admin, request));
  fmt::print("revoked {}\n", site);
  return OkStatus();
}

Status Ctl::Renew() {
  CSL_RETURN_IF_ERROR(parts_->Renew());
  fmt::print("{} has another key and certificate\n", parts_->home.string());
  return OkStatus();
}

Status Ctl::SubmitRun(const std::filesystem::path& plan, const std::filesystem::path& initial_model,
                      const std::string& from, bool watch) {
  v1::SubmitRunRequest request;
  CSL_ASSIGN_OR_RETURN(*request.mutable_plan(), ReadPlan(plan));
  if (!initial_model.empty()) {
    CSL_ASSIGN_OR_RETURN(*request.mutable_initial_model_digest(),
                         parts_->UploadInitialModel(initial_model));
  } else if (!from.empty()) {
    CSL_ASSIGN_OR_RETURN(const v1::ModelRef model, parts_->FindModel(from));
    request.set_initial_model_digest(model.digest());
  }
  CSL_ASSIGN_OR_RETURN(const v1::SubmitRunResponse response,
                       parts_->Call(&v1::AdminService::Stub::SubmitRun, *parts_->admin, request));
  fmt::print("{}\n", parts_->json ? Json{{"run", response.run_id()}}.dump(2) : response.run_id());
  std::cout.flush();
  return watch ? WatchRun(response.run_id()) : OkStatus();
}

Status Ctl::ListRuns() {
  CSL_ASSIGN_OR_RETURN(
      const v1::ListRunsResponse response,
      parts_->Ask(&v1::AdminService::Stub::ListRuns, *parts_->admin, v1::ListRunsRequest()));
  Json list = Json::array();
  std::vector<std::vector<std::string>> rows = {
      {"run", "name", "status", "round", "submitted", "reason"}};
  for (const v1::RunSummary& run : response.runs()) {
    list.push_back({{"run", run.run_id()},
                    {"name", run.name()},
                    {"status", run.status()},
                    {"round", run.round()},
                    {"rounds", run.rounds()},
                    {"reason", run.reason()}});
    rows.push_back({run.run_id(), run.name(), run.status(),
                    fmt::format("{}/{}", run.round(), run.rounds()),
                    FormatTime(run.created_unix_ms()), run.reason()});
  }
  fmt::print("{}", parts_->json ? list.dump(2) + "\n" : FormatTable(rows));
  return OkStatus();
}

Status Ctl::ShowRun(const std::string& run) {
  CSL_ASSIGN_OR_RETURN(const v1::GetRunResponse response, parts_->GetRun(run));
  if (parts_->json) {
    CSL_ASSIGN_OR_RETURN(const Json json, RunToJson(response));
    fmt::print("{}\n", json.dump(2));
    return OkStatus();
  }
  CSL_ASSIGN_OR_RETURN(const std::string text, DescribeRun(response));
  fmt::print("{}", text);
  return OkStatus();
}

Status Ctl::WatchRun(const std::string& run) {
  int shown = -1;
  LiveLine line;
  while (true) {
    CSL_ASSIGN_OR_RETURN(const v1::GetRunResponse response, parts_->GetRun(run, shown + 1));
    CSL_ASSIGN_OR_RETURN(const std::vector<ModelScores> scores, ScoresOf(response));
    line.Clear();
    for (const ModelScores& one : scores) {
      if (one.round <= shown || !ScoresAreComplete(response, one.round)) continue;
      shown = one.round;
      fmt::print("{}\n", RoundLine(response, one));
      std::fflush(stdout);
    }
    const v1::RunSummary& summary = response.summary();
    if (!IsEnded(summary)) line.Show(ProgressLine(response));
    if (summary.status() == "COMPLETED" || summary.status() == "DEGRADED") {
      fmt::print("{} {}{}{}\n", run, summary.status(), summary.reason().empty() ? "" : ": ",
                 summary.reason());
      return OkStatus();
    }
    if (IsEnded(summary) || summary.status() == "PAUSED") {
      return FailedPrecondition("{} {}: {}", run, summary.status(), summary.reason());
    }
    if (!SleepFor(kWatchInterval, parts_->stop)) {
      return Cancelled("stopped watching; {} goes on", run);
    }
  }
}

Status Ctl::CancelRun(const std::string& run) {
  v1::CancelRunRequest request;
  request.set_run_id(run);
  CSL_RETURN_IF_ERROR(parts_->Call(&v1::AdminService::Stub::CancelRun, *parts_->admin, request));
  fmt::print("cancelled {}\n", run);
  return OkStatus();
}

Status Ctl::PauseRun(const std::string& run) {
  v1::PauseRunRequest request;
  request.set_run_id(run);
  CSL_RETURN_IF_ERROR(parts_->Call(&v1::AdminService::Stub::PauseRun, *parts_->admin, request));
  fmt::print("{} pauses where its round ends\n", run);
  return OkStatus();
}

Status Ctl::ResumeRun(const std::string& run) {
  v1::ResumeRunRequest request;
  request.set_run_id(run);
  CSL_RETURN_IF_ERROR(parts_->Call(&v1::AdminService::Stub::ResumeRun, *parts_->admin, request));
  fmt::print("resumed {}\n", run);
  return OkStatus();
}

Status Ctl::ListModels(const std::string& run) {
  CSL_ASSIGN_OR_RETURN(const v1::ListModelsResponse response, parts_->GetModels(run));
  Json list = Json::array();
  std::vector<std::vector<std::string>> rows = {{"run", "round", "bytes", "digest"}};
  for (const v1::ModelRef& model : response.models()) {
    list.push_back({{"run", model.run_id()},
                    {"round", model.round()},
                    {"bytes", model.size_bytes()},
                    {"digest", model.digest()}});
    rows.push_back({model.run_id(), fmt::format("{}", model.round()),
                    fmt::format("{}", model.size_bytes()), model.digest()});
  }
  fmt::print("{}", parts_->json ? list.dump(2) + "\n" : FormatTable(rows));
  return OkStatus();
}

Status Ctl::PullModel(const std::string& model, const std::filesystem::path& path) {
  CSL_ASSIGN_OR_RETURN(const v1::ModelRef found, parts_->FindModel(model));
  if (std::filesystem::exists(path)) return AlreadyExists("{} exists already", path.string());
  CSL_RETURN_IF_ERROR(Retry(*parts_->channel, parts_->stop, [&] {
    return DownloadBlob(*parts_->blobs, found.digest(), path, parts_->stop);
  }));
  fmt::print("{}: round {}, {}\n", path.string(), found.round(), found.digest());
  return OkStatus();
}

}  // namespace consilium
