// Rounds without training: what the federation itself costs. A coordinator and N sites in one
// process, over mutual TLS on the loopback; each site downloads the global model, changes one value
// of it, uploads it and reports. Prints one JSON line.
//
//   round_bench ARCHITECTURE SITES ROUNDS

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "client/nn/network.h"
#include "common/base/memory.h"
#include "common/config/plan.h"
#include "common/crypto/digest.h"
#include "common/model/model_file.h"
#include "common/rpc/blob_transfer.h"
#include "common/rpc/grpc_status.h"
#include "tests/testing/live_server.h"

namespace consilium {
namespace {

using Clock = std::chrono::steady_clock;

// The seconds from a task's arrival to the end of each step, added up.
struct SiteTimes {
  double download = 0;
  double upload = 0;
  double report = 0;
};

double Since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Takes part in rounds until the final evaluation comes.
Status TakePart(const Home& home, const std::filesystem::path& part, float mark, SiteTimes& times) {
  CoordinatorClient client(home, {});
  while (true) {
    CSL_ASSIGN_OR_RETURN(const auto task, client.NextTask(std::chrono::seconds(30)));
    if (!task) continue;
    v1::ReportTaskRequest report;
    report.set_task_id(task->task_id());
    v1::TaskResult& result = *report.mutable_result();
    if (task->kind() == v1::TASK_KIND_TRAIN) {
      auto start = Clock::now();
      std::string file;
      CSL_RETURN_IF_ERROR(
          client.Download(task->model().digest(), task->model().size_bytes(), file, part));
      times.download += Since(start);
      CSL_ASSIGN_OR_RETURN(ModelHeader header, ParseModelHeader(AsBytes(file)));
      header.info.provenance = {.run = task->run_id(),
                                .round = static_cast<int>(task->round()),
                                .parent_digest = task->model().digest()};
      std::string update = EncodeModelHeader(header.info, *header.layout);
      const std::size_t values_at = update.size();
      update.reserve(values_at + file.size());
      update.append(file, header.data_offset);
      std::memcpy(update.data() + values_at, &mark, sizeof(mark));
      start = Clock::now();
      result.set_blob_digest(Sha256Of(update));
      CSL_RETURN_IF_ERROR(client.Upload(AsBytes(update), result.blob_digest(), task->task_id()));
      times.upload += Since(start);
      result.set_train_examples(100);
    }
    const auto start = Clock::now();
    CSL_RETURN_IF_ERROR(client.ReportTask(report));
    times.report += Since(start);
    if (task->kind() == v1::TASK_KIND_EVALUATE) return OkStatus();
  }
}

StatusOr<std::string> Start(testing::LiveServer& server, const std::string& architecture,
                            int rounds) {
  v1::SubmitRunRequest request;
  *request.mutable_plan() = DefaultPlan();
  request.mutable_plan()->set_rounds(static_cast<std::uint32_t>(rounds));
  request.mutable_plan()->mutable_quorum()->set_fraction(1);
  request.mutable_plan()->mutable_model()->set_architecture(architecture);
  ModelSpec spec{.architecture = architecture, .classes = {"covid", "normal", "pneumonia"}};
  CSL_ASSIGN_OR_RETURN(const Network network, Network::Create(spec, 1));
  const auto path = server.folder() / "initial";
  CSL_RETURN_IF_ERROR(WriteModel(path, {spec, {}}, network.State()));
  CSL_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  request.set_initial_model_digest(Sha256Of(file.bytes()));
  const auto blobs = v1::BlobService::NewStub(testing::LiveServer::Channel(server.AdminHome()));
  CSL_RETURN_IF_ERROR(UploadBlob(*blobs, file.bytes(), request.initial_model_digest(), "", {}));
  CallContext context(std::chrono::minutes(1), {});
  v1::SubmitRunResponse response;
  CSL_RETURN_IF_ERROR(FromGrpc(server.Admin()->SubmitRun(context.get(), request, &response)));
  return response.run_id();
}

// When each round's model was there: the file times of the global models in the blob store, by
// round.
StatusOr<std::vector<double>> RoundSeconds(testing::LiveServer& server, const std::string& run) {
  CallContext context(std::chrono::minutes(1), {});
  v1::GetRunRequest request;
  request.set_run_id(run);
  v1::GetRunResponse response;
  CSL_RETURN_IF_ERROR(FromGrpc(server.Admin()->GetRun(context.get(), request, &response)));
  std::vector<double> seconds;
  std::filesystem::file_time_type before;
  for (const v1::ModelRef& model : response.models()) {
    const auto made =
        std::filesystem::last_write_time(server.folder() / ("s/blobs/" + model.digest()));
    // The initial model was uploaded before the run began; a round lasts from model to model.
    if (model.round() > 1) seconds.push_back(std::chrono::duration<double>(made - before).count());
    before = made;
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds;
}

Status Run(const std::string& architecture, int sites, int rounds) {
  testing::LiveServer server;
  std::vector<Home> homes;
  for (int i = 0; i < sites; ++i) homes.push_back(server.Join(fmt::format("site-{}", i)));
  CSL_ASSIGN_OR_RETURN(const std::string run, Start(server, architecture, rounds));
  std::vector<SiteTimes> times(static_cast<std::size_t>(sites));
  std::vector<Status> statuses(static_cast<std::size_t>(sites));
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < homes.size(); ++i) {
      threads.emplace_back([&, i] {
        const auto part = server.folder() / fmt::format("site-{}.part", i);
        statuses[i] = TakePart(homes[i], part, static_cast<float>(i), times[i]);
      });
    }
  }
  for (const Status& status : statuses) CSL_RETURN_IF_ERROR(status);
  CSL_ASSIGN_OR_RETURN(const std::vector<double> seconds, RoundSeconds(server, run));
  const double per_round = 1.0 / rounds;
  fmt::print(
      "{{\"architecture\": \"{}\", \"sites\": {}, \"rounds\": {}, \"median_seconds\": {:.4f}, "
      "\"slowest_seconds\": {:.4f}, \"download_seconds\": {:.4f}, \"upload_seconds\": {:.4f}, "
      "\"report_seconds\": {:.4f}}}\n",
      architecture, sites, rounds, seconds[seconds.size() / 2], seconds.back(),
      times[0].download * per_round, times[0].upload * per_round, times[0].report * per_round);
  return OkStatus();
}

}  // namespace
}  // namespace consilium

int main(int argc, char** argv) {
  if (argc != 4 || std::atoi(argv[2]) < 1 || std::atoi(argv[3]) < 2) {
    fmt::print(stderr, "usage: round_bench ARCHITECTURE SITES ROUNDS (at least 2)\n");
    return 2;
  }
  consilium::KeepFreedMemory();  // as the programs do
  const consilium::Status status = consilium::Run(argv[1], std::atoi(argv[2]), std::atoi(argv[3]));
  if (!status.ok()) fmt::print(stderr, "round_bench: {}\n", status.ToString());
  return status.ok() ? 0 : 1;
}
