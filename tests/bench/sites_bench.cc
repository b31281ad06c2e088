// Hospitals that do not train, many in one process, of a coordinator that is another: what the
// federation itself costs. Real identities, real mutual TLS; a hospital downloads the global model,
// changes one value of it, uploads it and reports.
//
//   sites_bench join COORDINATOR SITES IDENTITIES   joins them while the coordinator is not running
//   sites_bench rounds COORDINATOR IDENTITIES ARCHITECTURE ROUNDS
//   sites_bench idle IDENTITIES SECONDS             waits for tasks that do not come
//
// COORDINATOR and IDENTITIES are folders. `rounds` prints one JSON line, `idle` one once all are
// connected and one at its end.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <semaphore>
#include <thread>

#include "client/nn/network.h"
#include "client/rpc/coordinator_client.h"
#include "common/base/memory.h"
#include "common/config/plan.h"
#include "common/crypto/digest.h"
#include "common/crypto/issue.h"
#include "common/model/model_file.h"
#include "common/rpc/blob_transfer.h"
#include "common/rpc/channel.h"
#include "common/rpc/credentials.h"
#include "common/rpc/grpc_status.h"
#include "consilium/v1/admin.grpc.pb.h"
#include "server/registry/registry.h"
#include "server/rpc/server_options.h"
#include "server/store/store.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;
using SteadyClock = std::chrono::steady_clock;

// Idle sites that connect at a time: thousands at once are more handshakes than two cores do within
// the coordinator's time for one.
constexpr std::ptrdiff_t kAtOnce = 64;

double Since(SteadyClock::time_point start) {
  return std::chrono::duration<double>(SteadyClock::now() - start).count();
}

// By the coordinator's own registry: joining over the network is bounded to a few a minute.
Status JoinAll(const fs::path& coordinator, int sites, const fs::path& identities) {
  const SystemClock clock;
  CSL_ASSIGN_OR_RETURN(const ServerOptions options, ReadServerOptions(coordinator));
  CSL_ASSIGN_OR_RETURN(const auto trail, AuditTrail::Open(coordinator / kTrailFile, clock));
  CSL_ASSIGN_OR_RETURN(const auto store, Store::Open(coordinator / kDatabaseFile));
  CSL_ASSIGN_OR_RETURN(Authority authority, Authority::Load(coordinator / kAuthorityFolder));
  CSL_ASSIGN_OR_RETURN(const std::string ca_pem,
                       ReadFile(coordinator / kAuthorityFolder / kRootFile));
  Registry registry(*store, *trail, clock, std::move(authority), options.federation);
  for (int i = 0; i < sites; ++i) {
    const std::string name = fmt::format("site-{:05}", i);
    CSL_ASSIGN_OR_RETURN(const Invitation invitation,
                         registry.Invite(name, Role::kHospital, "bench"));
    CSL_ASSIGN_OR_RETURN(const PrivateKey key, PrivateKey::Generate());
    CSL_ASSIGN_OR_RETURN(const std::string request, SigningRequest::Create(key));
    CSL_ASSIGN_OR_RETURN(const Enrolment enrolment, registry.Join(invitation.token, request));
    Home home{.federation = options.federation,
              .endpoint = fmt::format("127.0.0.1:{}", options.port),
              .ca_pem = ca_pem,
              .certificate_pem = enrolment.certificate_pem,
              .key_pem = {}};
    CSL_ASSIGN_OR_RETURN(home.key_pem, key.ToPem());
    CSL_RETURN_IF_ERROR(WriteHome(identities / name, home));
  }
  return OkStatus();
}

StatusOr<std::vector<Home>> ReadIdentities(const fs::path& folder) {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(folder)) paths.push_back(entry.path());
  std::ranges::sort(paths);
  std::vector<Home> homes;
  for (const fs::path& path : paths) {
    CSL_ASSIGN_OR_RETURN(Home home, ReadHome(path));
    homes.push_back(std::move(home));
  }
  return homes;
}

// Calls `take_part` for each, at once; the first error.
Status ForAll(const std::vector<Home>& homes,
              const std::function<Status(std::size_t, const Home&)>& take_part) {
  std::vector<Status> statuses(homes.size());
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < homes.size(); ++i) {
      threads.emplace_back([&, i] { statuses[i] = take_part(i, homes[i]); });
    }
  }
  for (const Status& status : statuses) CSL_RETURN_IF_ERROR(status);
  return OkStatus();
}

// The seconds of each step, added up over the rounds.
struct SiteTimes {
  double download = 0;
  double upload = 0;
  double report = 0;
};

// An update: the global model with one value changed.
StatusOr<std::string> MakeUpdate(const v1::Task& task, std::string model, float mark) {
  CSL_ASSIGN_OR_RETURN(ModelHeader header, ParseModelHeader(AsBytes(model)));
  header.info.provenance = {.run = task.run_id(),
                            .round = static_cast<int>(task.round()),
                            .parent_digest = task.model().digest()};
  const std::string head = EncodeModelHeader(header.info, *header.layout);
  model.replace(0, header.data_offset, head);
  std::memcpy(model.data() + head.size(), &mark, sizeof(mark));
  return model;
}

// Takes part in rounds until the final evaluation comes.
Status TakePart(const Home& home, const fs::path& part, float mark, SiteTimes& times) {
  CoordinatorClient client(home, {});
  while (true) {
    CSL_ASSIGN_OR_RETURN(const auto task, client.NextTask(std::chrono::seconds(30)));
    if (!task) continue;
    v1::ReportTaskRequest report;
    report.set_task_id(task->task_id());
    v1::TaskResult& result = *report.mutable_result();
    if (task->kind() == v1::TASK_KIND_TRAIN) {
      auto start = SteadyClock::now();
      std::string model;
      CSL_RETURN_IF_ERROR(
          client.Download(task->model().digest(), task->model().size_bytes(), model, part));
      times.download += Since(start);
      CSL_ASSIGN_OR_RETURN(const std::string update, MakeUpdate(*task, std::move(model), mark));
      start = SteadyClock::now();
      result.set_blob_digest(Sha256Of(update));
      CSL_RETURN_IF_ERROR(client.Upload(AsBytes(update), result.blob_digest(), task->task_id()));
      times.upload += Since(start);
      result.set_train_examples(100);
    }
    const auto start = SteadyClock::now();
    CSL_RETURN_IF_ERROR(client.ReportTask(report).status());
    times.report += Since(start);
    if (task->kind() == v1::TASK_KIND_EVALUATE) return OkStatus();
  }
}

std::shared_ptr<grpc::Channel> ChannelOf(const Home& home) {
  return MakeChannel(home.endpoint,
                     MutualTlsClient(home.ca_pem, {home.certificate_pem, home.key_pem}));
}

StatusOr<std::string> Submit(const Home& admin, const fs::path& folder,
                             const std::string& architecture, int rounds) {
  v1::SubmitRunRequest request;
  *request.mutable_plan() = DefaultPlan();
  request.mutable_plan()->set_rounds(static_cast<std::uint32_t>(rounds));
  request.mutable_plan()->mutable_quorum()->set_fraction(1);
  request.mutable_plan()->mutable_model()->set_architecture(architecture);
  ModelSpec spec{.architecture = architecture, .classes = {"covid", "normal", "pneumonia"}};
  CSL_ASSIGN_OR_RETURN(const Network network, Network::Create(spec, 1));
  const fs::path path = folder / "initial.safetensors";
  CSL_RETURN_IF_ERROR(WriteModel(path, {spec, {}}, network.State()));
  CSL_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  request.set_initial_model_digest(Sha256Of(file.bytes()));
  const auto channel = ChannelOf(admin);
  CSL_RETURN_IF_ERROR(UploadBlob(channel, file.bytes(), request.initial_model_digest(), "", {}));
  CallContext context(std::chrono::minutes(1), {});
  v1::SubmitRunResponse response;
  CSL_RETURN_IF_ERROR(
      FromGrpc(v1::AdminService::NewStub(channel)->SubmitRun(context.get(), request, &response)));
  return response.run_id();
}

// When each round's model was there: the file times of the global models in the blob store, by
// round.
StatusOr<std::vector<double>> RoundSeconds(const Home& admin, const fs::path& coordinator,
                                           const std::string& run) {
  CallContext context(std::chrono::minutes(1), {});
  v1::GetRunRequest request;
  request.set_run_id(run);
  v1::GetRunResponse response;
  CSL_RETURN_IF_ERROR(FromGrpc(
      v1::AdminService::NewStub(ChannelOf(admin))->GetRun(context.get(), request, &response)));
  std::vector<double> seconds;
  fs::file_time_type before;
  for (const v1::ModelRef& model : response.models()) {
    const auto made = fs::last_write_time(coordinator / "blobs" / model.digest());
    // The initial model was uploaded before the run began; a round lasts from model to model.
    if (model.round() > 1) seconds.push_back(std::chrono::duration<double>(made - before).count());
    before = made;
  }
  return seconds;
}

Status PlayRounds(const fs::path& coordinator, const fs::path& identities,
                  const std::string& architecture, int rounds) {
  CSL_ASSIGN_OR_RETURN(const Home admin, ReadHome(coordinator / kAdminFolder));
  CSL_ASSIGN_OR_RETURN(const std::vector<Home> homes, ReadIdentities(identities));
  CSL_ASSIGN_OR_RETURN(const std::string run,
                       Submit(admin, identities.parent_path(), architecture, rounds));
  std::vector<SiteTimes> times(homes.size());
  CSL_RETURN_IF_ERROR(ForAll(homes, [&](std::size_t i, const Home& home) {
    const fs::path part = identities.parent_path() / fmt::format("site-{}.part", i);
    return TakePart(home, part, static_cast<float>(i), times[i]);
  }));
  CSL_ASSIGN_OR_RETURN(const std::vector<double> seconds, RoundSeconds(admin, coordinator, run));
  const double per_round = 1.0 / rounds;
  fmt::print(
      "{{\"architecture\": \"{}\", \"sites\": {}, \"rounds\": {}, \"seconds\": [{:.4f}], "
      "\"download_seconds\": {:.4f}, \"upload_seconds\": {:.4f}, \"report_seconds\": {:.4f}}}\n",
      architecture, homes.size(), rounds, fmt::join(seconds, ", "), times[0].download * per_round,
      times[0].upload * per_round, times[0].report * per_round);
  return OkStatus();
}

Status Idle(const fs::path& identities, int seconds) {
  CSL_ASSIGN_OR_RETURN(const std::vector<Home> homes, ReadIdentities(identities));
  const auto begin = SteadyClock::now();
  std::counting_semaphore<> doors(kAtOnce);
  std::atomic<std::size_t> connected = 0;
  std::atomic<std::int64_t> ends = 0;  // milliseconds after the beginning; 0: not all connected
  std::atomic<bool> failed = false;
  const auto status = ForAll(homes, [&](std::size_t, const Home& home) -> Status {
    CoordinatorClient client(home, {});
    doors.acquire();
    const Status greeted = client.Greet().status();
    doors.release();
    if (!greeted.ok()) {
      failed = true;
      return greeted;
    }
    if (++connected == homes.size()) {
      ends = static_cast<std::int64_t>(1000 * Since(begin)) + 1000 * std::int64_t{seconds};
      fmt::print("{{\"connected\": {}, \"seconds\": {:.3f}}}\n", homes.size(), Since(begin));
      std::fflush(stdout);
    }
    while (!failed && (ends == 0 || 1000 * Since(begin) < static_cast<double>(ends))) {
      CSL_RETURN_IF_ERROR(client.NextTask(std::chrono::seconds(30)).status());
    }
    return OkStatus();
  });
  CSL_RETURN_IF_ERROR(status);
  fmt::print("{{\"idle_seconds\": {}}}\n", seconds);
  return OkStatus();
}

StatusOr<int> Number(const char* text) {
  const int number = std::atoi(text);
  if (number > 0) return number;
  return InvalidArgument("'{}': want a number above 0", text);
}

Status Run(const std::vector<const char*>& words) {
  if (words.size() == 4 && words[0] == std::string_view("join")) {
    CSL_ASSIGN_OR_RETURN(const int sites, Number(words[2]));
    return JoinAll(words[1], sites, words[3]);
  }
  if (words.size() == 5 && words[0] == std::string_view("rounds")) {
    CSL_ASSIGN_OR_RETURN(const int rounds, Number(words[4]));
    return PlayRounds(words[1], words[2], words[3], rounds);
  }
  if (words.size() == 3 && words[0] == std::string_view("idle")) {
    CSL_ASSIGN_OR_RETURN(const int seconds, Number(words[2]));
    return Idle(words[1], seconds);
  }
  return InvalidArgument("want join, rounds or idle, see the beginning of sites_bench.cc");
}

}  // namespace
}  // namespace consilium

int main(int argc, char** argv) {
  consilium::KeepFreedMemory();  // as the programs do
  const consilium::Status status = consilium::Run({argv + 1, argv + argc});
  if (!status.ok()) fmt::print(stderr, "sites_bench: {}\n", status.ToString());
  return status.ok() ? 0 : 1;
}
