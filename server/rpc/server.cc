#include "server/rpc/server.h"

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <spdlog/spdlog.h>
#include <yaml-cpp/yaml.h>

#include <thread>

#include "certs/authority.h"
#include "certs/home.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/rpc/blob_transfer.h"
#include "common/rpc/credentials.h"
#include "server/registry/registry.h"
#include "server/round/coordinator.h"
#include "server/rpc/admin_service.h"
#include "server/rpc/blob_service.h"
#include "server/rpc/coordinator_service.h"
#include "server/rpc/enrolment_service.h"
#include "server/store/blob_store.h"
#include "server/store/store.h"

namespace consilium {
namespace {

constexpr char kServerFile[] = "server.yaml";
constexpr char kAuthorityFolder[] = "ca";
constexpr char kCertificateFile[] = "server.crt";
constexpr char kKeyFile[] = "server.key";
constexpr char kAdminFolder[] = "admin";

constexpr std::chrono::milliseconds kWorkInterval{250};
constexpr std::chrono::minutes kReturnMemoryInterval{1};
constexpr std::chrono::seconds kShutdownGrace{2};
constexpr int kMinPingIntervalMs = 10'000;  // below the hospitals' 30 s
constexpr int kKeepaliveMs = 30'000;        // a caller that vanished is noticed, its upload let go
constexpr int kKeepaliveTimeoutMs = 20'000;

Status WriteIdentity(const std::filesystem::path& folder, const Authority& authority,
                     const ServerOptions& options, TimePoint now) {
  CSL_ASSIGN_OR_RETURN(const PrivateKey key, PrivateKey::Generate());
  CSL_ASSIGN_OR_RETURN(const std::string key_pem, key.ToPem());
  CSL_ASSIGN_OR_RETURN(
      const std::string pem,
      authority.IssueServer(key, {options.federation, Role::kCoordinator, "coordinator"},
                            options.host, now));
  CSL_RETURN_IF_ERROR(WriteFileAtomically(folder / kKeyFile, key_pem, kPrivateMode));
  // With its issuer, so that a joining hospital can compare the CA with the hash it was given.
  return WriteFileAtomically(folder / kCertificateFile, pem + authority.pem());
}

Status WriteAdmin(const std::filesystem::path& folder, const Authority& authority,
                  const ServerOptions& options, TimePoint now) {
  CSL_ASSIGN_OR_RETURN(const PrivateKey key, PrivateKey::Generate());
  Home home{.federation = options.federation,
            .endpoint = fmt::format("{}:{}", options.host, options.port),
            .ca_pem = authority.pem()};
  CSL_ASSIGN_OR_RETURN(home.key_pem, key.ToPem());
  CSL_ASSIGN_OR_RETURN(
      home.certificate_pem,
      authority.IssueClient(key, {options.federation, Role::kAdmin, "admin"}, now));
  return WriteHome(folder, home);
}

void Limit(grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             kMinPingIntervalMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  // Two coordinators on one port would each see half of the calls.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
}

std::string Or(const std::string& address, int port) {
  return address.empty() ? fmt::format("[::]:{}", port) : address;
}

}  // namespace

// In the order of need: each outlives those below it.
struct Server::Parts {
  SystemClock clock;
  ServerOptions options;
  FileDescriptor lock;
  std::unique_ptr<Store> store;
  std::unique_ptr<Registry> registry;
  std::unique_ptr<Coordinator> coordinator;
  std::unique_ptr<CoordinatorService> coordinator_service;
  std::unique_ptr<ModelService> model_service;
  std::unique_ptr<BlobService> blob_service;
  std::unique_ptr<AdminService> admin_service;
  std::unique_ptr<EnrolmentService> enrolment_service;
  int port = 0;
  int enrol_port = 0;
  std::jthread worker;
  std::unique_ptr<grpc::Server> server;
  std::unique_ptr<grpc::Server> enrol_server;

  Status Open(const std::filesystem::path& folder);
  Status Serve(const std::filesystem::path& folder, const Listen& listen);
};

Status Server::Parts::Open(const std::filesystem::path& folder) {
  CSL_ASSIGN_OR_RETURN(options, ReadServerOptions(folder));
  CSL_ASSIGN_OR_RETURN(lock, LockFolder(folder));
  CSL_ASSIGN_OR_RETURN(Authority authority, Authority::Load(folder / kAuthorityFolder));
  CSL_ASSIGN_OR_RETURN(store, Store::Open(folder / kDatabaseFile));
  CSL_ASSIGN_OR_RETURN(BlobStore blobs, BlobStore::Open(folder));
  registry = std::make_unique<Registry>(*store, clock, std::move(authority), options.federation);
  CSL_ASSIGN_OR_RETURN(coordinator,
                       Coordinator::Create(*store, std::move(blobs), *registry, clock));
  return OkStatus();
}

Status Server::Parts::Serve(const std::filesystem::path& folder, const Listen& listen) {
  CSL_ASSIGN_OR_RETURN(const std::string certificate, ReadFile(folder / kCertificateFile));
  CSL_ASSIGN_OR_RETURN(const std::string key, ReadFile(folder / kKeyFile));
  const KeyPair own{certificate, key};

  enrolment_service = std::make_unique<EnrolmentService>(
      *registry, fmt::format("{}:{}", options.host, options.port));
  grpc::ServerBuilder enrol_builder;
  Limit(enrol_builder);
  enrol_builder.AddListeningPort(Or(listen.enrol_address, options.enrol_port),
                                 EnrolmentTlsServer(own), &enrol_port);
  enrol_builder.RegisterService(enrolment_service.get());
  enrol_server = enrol_builder.BuildAndStart();
  if (enrol_server == nullptr || enrol_port == 0) {
    return Unavailable("cannot listen on {}: is the port taken?",
                       Or(listen.enrol_address, options.enrol_port));
  }

  coordinator_service = std::make_unique<CoordinatorService>(*coordinator, *registry, clock);
  model_service = std::make_unique<ModelService>(*coordinator, *registry);
  blob_service = std::make_unique<BlobService>(*coordinator, *registry);
  admin_service = std::make_unique<AdminService>(
      *coordinator, *registry, *store, fmt::format("{}:{}", options.host, options.enrol_port));
  grpc::ServerBuilder builder;
  Limit(builder);
  builder.AddListeningPort(Or(listen.address, options.port),
                           MutualTlsServer(registry->authority().pem(), own), &port);
  builder.RegisterService(coordinator_service.get());
  builder.RegisterService(model_service.get());
  builder.RegisterService(blob_service.get());
  builder.RegisterService(admin_service.get());
  server = builder.BuildAndStart();
  if (server == nullptr || port == 0) {
    return Unavailable("cannot listen on {}: is the port taken?", Or(listen.address, options.port));
  }
  worker = std::jthread([this](const std::stop_token& stop) {
    TimePoint returned = clock.Now();
    while (!stop.stop_requested()) {
      coordinator->Work();
      coordinator->WaitForWork(kWorkInterval);
      if (clock.Now() - returned < kReturnMemoryInterval) continue;
      returned = clock.Now();
      ReturnFreedMemory();
    }
  });
  return OkStatus();
}

Status InitServer(const std::filesystem::path& folder, const ServerOptions& options,
                  TimePoint now) {
  if (std::filesystem::exists(folder / kServerFile)) {
    return AlreadyExists("{} holds a federation already", folder.string());
  }
  // Nothing of it is removed here: what looks half-made may be the only copy of a CA.
  std::error_code error;
  if (std::filesystem::exists(folder) && !std::filesystem::is_empty(folder, error)) {
    return FailedPrecondition(
        "{} is not empty: if an earlier init was interrupted there, remove the folder; if {} was "
        "lost, put it back",
        folder.string(), kServerFile);
  }
  CSL_RETURN_IF_ERROR(CheckName("federation", options.federation));
  CSL_RETURN_IF_ERROR(CheckHost(options.host));
  CSL_ASSIGN_OR_RETURN(const Authority authority,
                       Authority::Create(folder / kAuthorityFolder, options.federation, now));
  CSL_RETURN_IF_ERROR(WriteIdentity(folder, authority, options, now));
  CSL_RETURN_IF_ERROR(WriteAdmin(folder / kAdminFolder, authority, options, now));
  CSL_RETURN_IF_ERROR(Store::Open(folder / kDatabaseFile));
  CSL_RETURN_IF_ERROR(BlobStore::Open(folder));
  return WriteFileAtomically(
      folder / kServerFile,
      fmt::format("federation: {}\nhost: {}\nport: {}\nenrol_port: {}\n", options.federation,
                  options.host, options.port, options.enrol_port));
}

StatusOr<ServerOptions> ReadServerOptions(const std::filesystem::path& folder) {
  const auto text = ReadFile(folder / kServerFile);
  if (!text.ok()) {
    return FailedPrecondition("{} holds no federation: run `consilium-server init` first",
                              folder.string());
  }
  return CatchAsStatus((folder / kServerFile).string(), [&] {
    const YAML::Node node = YAML::Load(*text);
    return ServerOptions{.federation = node["federation"].as<std::string>(),
                         .host = node["host"].as<std::string>(),
                         .port = node["port"].as<int>(),
                         .enrol_port = node["enrol_port"].as<int>()};
  });
}

StatusOr<std::unique_ptr<Server>> Server::Start(const std::filesystem::path& folder,
                                                const Listen& listen) {
  std::unique_ptr<Server> server(new Server(std::make_unique<Parts>()));
  CSL_RETURN_IF_ERROR(server->parts_->Open(folder));
  CSL_RETURN_IF_ERROR(server->parts_->Serve(folder, listen));
  spdlog::info("federation '{}': listening on port {}, joining on port {}",
               server->parts_->options.federation, server->port(), server->enrol_port());
  return server;
}

Server::Server(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Server::~Server() {
  const auto deadline = std::chrono::system_clock::now() + kShutdownGrace;
  if (parts_->enrol_server) parts_->enrol_server->Shutdown(deadline);
  if (parts_->server) parts_->server->Shutdown(deadline);
}

int Server::port() const { return parts_->port; }
int Server::enrol_port() const { return parts_->enrol_port; }

}  // namespace consilium
