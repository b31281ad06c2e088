// The connection, and runs.

#include <iostream>

#include "certs/home.h"
#include "common/base/file.h"
#include "common/cli/cli.h"
#include "common/config/plan.h"
#include "common/rpc/credentials.h"
#include "server/ctl/connection.h"
#include "server/ctl/run_view.h"

namespace consilium {
namespace {

constexpr std::chrono::milliseconds kWatchInterval{500};

bool IsEnded(const v1::RunSummary& run) { return run.ended_unix_ms() != 0; }

}  // namespace

StatusOr<v1::GetRunResponse> Ctl::Parts::GetRun(const std::string& run, int from_round) {
  v1::GetRunRequest request;
  request.set_run_id(run);
  request.set_from_round(static_cast<std::uint32_t>(from_round));
  return Ask(&v1::AdminService::Stub::GetRun, *admin, request);
}

StatusOr<Ctl> Ctl::Open(const std::filesystem::path& home, bool json, const std::stop_token& stop) {
  CSL_ASSIGN_OR_RETURN(const Home identity, ReadHome(home));
  auto parts = std::make_unique<Parts>();
  const auto& channel = parts->channel =
      MakeChannel(identity.endpoint,
                  MutualTlsClient(identity.ca_pem, {identity.certificate_pem, identity.key_pem}));
  parts->admin = v1::AdminService::NewStub(channel);
  parts->models = v1::ModelService::NewStub(channel);
  parts->membership = v1::MembershipService::NewStub(channel);
  parts->home = home;
  parts->ca_pem = identity.ca_pem;
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

Status Ctl::ReportRun(const std::string& run, const std::filesystem::path& path) {
  CSL_ASSIGN_OR_RETURN(const v1::GetRunResponse response, parts_->GetRun(run));
  CSL_ASSIGN_OR_RETURN(const std::string page, RunToHtml(response));
  CSL_RETURN_IF_ERROR(WriteFileAtomically(path, page));
  fmt::print("{}\n", parts_->json ? Json{{"file", path.string()}}.dump(2) : path.string());
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

}  // namespace consilium
