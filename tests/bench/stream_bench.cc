// What a round's bytes cost without a federation: N clients who each download a file and upload
// another over a bare gRPC stream with the same mutual TLS, in messages as long as a chunk, all
// at once. Prints one JSON line with the seconds of each time.
//
//   stream_bench BYTES CLIENTS TIMES

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <grpcpp/server_builder.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "common/base/memory.h"
#include "common/rpc/chunk.h"
#include "common/rpc/grpc_status.h"
#include "consilium/v1/blob.grpc.pb.h"
#include "tests/testing/live_server.h"

namespace consilium {
namespace {

class BareService final : public v1::BlobService::Service {
 public:
  explicit BareService(std::size_t bytes) : bytes_(bytes) {}

  grpc::Status Download(grpc::ServerContext* /*context*/, const v1::DownloadRequest* /*request*/,
                        grpc::ServerWriter<v1::DownloadResponse>* writer) override {
    v1::DownloadResponse message;
    message.set_data(std::string(kChunkBytes, 'd'));
    for (std::size_t sent = 0; sent < bytes_; sent += kChunkBytes) {
      if (!writer->Write(message)) return grpc::Status::CANCELLED;
    }
    return grpc::Status::OK;
  }

  grpc::Status Upload(grpc::ServerContext* /*context*/,
                      grpc::ServerReader<v1::UploadRequest>* reader,
                      v1::UploadResponse* response) override {
    v1::UploadRequest message;
    std::uint64_t held = 0;
    while (reader->Read(&message)) held += message.data().size();
    response->set_held_bytes(held);
    return grpc::Status::OK;
  }

 private:
  const std::size_t bytes_;
};

Status Exchange(v1::BlobService::Stub& stub, std::size_t bytes) {
  {
    CallContext context(std::chrono::minutes(10), {});
    const auto reader = stub.Download(context.get(), {});
    v1::DownloadResponse message;
    std::size_t got = 0;
    while (reader->Read(&message)) got += message.data().size();
    CSL_RETURN_IF_ERROR(FromGrpc(reader->Finish()));
    if (got < bytes) return Internal("{} of {} bytes came", got, bytes);
  }
  CallContext context(std::chrono::minutes(10), {});
  v1::UploadResponse response;
  const auto writer = stub.Upload(context.get(), &response);
  v1::UploadRequest message;
  message.set_data(std::string(kChunkBytes, 'u'));
  for (std::size_t sent = 0; sent < bytes; sent += kChunkBytes) {
    if (!writer->Write(message)) break;
  }
  writer->WritesDone();
  return FromGrpc(writer->Finish());
}

StatusOr<double> ExchangeAll(std::vector<std::unique_ptr<v1::BlobService::Stub>>& stubs,
                             std::size_t bytes) {
  const auto begin = std::chrono::steady_clock::now();
  std::vector<Status> statuses(stubs.size());
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < stubs.size(); ++i) {
      threads.emplace_back([&, i] { statuses[i] = Exchange(*stubs[i], bytes); });
    }
  }
  for (const Status& status : statuses) CSL_RETURN_IF_ERROR(status);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

Status Run(std::size_t bytes, int clients, int times) {
  testing::LiveServer certificates;       // a federation, for its CA alone
  Home home = certificates.Join("site");  // they share a certificate, and no connection
  const auto folder = certificates.folder() / "s";
  CSL_ASSIGN_OR_RETURN(const std::string root_pem, ReadFile(folder / "ca/ca.crt"));
  CSL_ASSIGN_OR_RETURN(const Certificate root, Certificate::FromPem(root_pem));
  const std::string ca_file = (folder / "ca/ca.crt").string();
  const std::string identity_file = (folder / "server.pem").string();
  BareService service(bytes);
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", MutualTlsServer({ca_file, identity_file}, root, {}),
                           &port);
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  std::vector<std::unique_ptr<v1::BlobService::Stub>> stubs;
  home.endpoint = fmt::format("127.0.0.1:{}", port);
  for (int i = 0; i < clients; ++i) {
    stubs.push_back(v1::BlobService::NewStub(testing::LiveServer::Channel(home)));
  }
  CSL_RETURN_IF_ERROR(ExchangeAll(stubs, kChunkBytes).status());  // connects
  std::vector<double> seconds;
  for (int i = 0; i < times; ++i) {
    CSL_ASSIGN_OR_RETURN(const double took, ExchangeAll(stubs, bytes));
    seconds.push_back(took);
  }
  server->Shutdown();
  fmt::print("{{\"bytes\": {}, \"clients\": {}, \"seconds\": [{:.4f}]}}\n", bytes, clients,
             fmt::join(seconds, ", "));
  return OkStatus();
}

}  // namespace
}  // namespace consilium

int main(int argc, char** argv) {
  const long bytes = argc == 4 ? std::atol(argv[1]) : 0;
  const int clients = argc == 4 ? std::atoi(argv[2]) : 0;
  const int times = argc == 4 ? std::atoi(argv[3]) : 0;
  if (bytes < 1 || clients < 1 || times < 1) {
    fmt::print(stderr, "usage: stream_bench BYTES CLIENTS TIMES\n");
    return 2;
  }
  consilium::KeepFreedMemory();  // as the programs do
  spdlog::set_default_logger(spdlog::stderr_color_mt("bench"));
  const consilium::Status status = consilium::Run(static_cast<std::size_t>(bytes), clients, times);
  if (!status.ok()) fmt::print(stderr, "stream_bench: {}\n", status.ToString());
  return status.ok() ? 0 : 1;
}
