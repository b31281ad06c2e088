#include "server/rpc/server.h"

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <spdlog/spdlog.h>

#include <thread>

#include "certs/authority.h"
#include "certs/home.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/crypto/digest.h"
#include "common/rpc/blob_transfer.h"
#include "common/rpc/credentials.h"
#include "common/rpc/handshakes.h"
#include "common/rpc/protocol.h"
#include "server/registry/registry.h"
#include "server/relay/relay.h"
#include "server/round/coordinator.h"
#include "server/rpc/admin_service.h"
#include "server/rpc/blob_service.h"
#include "server/rpc/coordinator_service.h"
#include "server/rpc/enrolment_service.h"
#include "server/rpc/gate.h"
#include "server/rpc/housekeeping.h"
#include "server/rpc/membership_service.h"
#include "server/rpc/model_signer.h"
#include "server/rpc/server_identity.h"
#include "server/store/blob_store.h"
#include "server/store/store.h"

namespace consilium {
namespace {

constexpr std::chrono::milliseconds kWorkInterval{250};
constexpr std::chrono::seconds kHousekeepingInterval{1};
constexpr std::chrono::minutes kReturnMemoryInterval{1};
constexpr std::chrono::seconds kShutdownGrace{2};
constexpr int kMinPingIntervalMs = 10'000;  // below the hospitals' 30 s
constexpr int kKeepaliveMs = 30'000;        // a caller that vanished is noticed, its upload let go
constexpr int kKeepaliveTimeoutMs = 20'000;
constexpr int kHandshakeTimeoutMs = 10'000;
constexpr int kMaxConcurrentCalls = 32;  // on one connection
constexpr int kMaxHeaderBytes = 16 << 10;
// What a stream may send before anything of it is read, and in one frame. With gRPC's own choice,
// which grows with the line, whole models lie in memory; on one machine it is a tenth faster. With
// this one a connection moves little more than the message that is being read in a round trip: for
// long lines see common/rpc/blob_upload.cc.
constexpr int kWindowBytes = 1 << 20;
constexpr int kFrameBytes = 256 << 10;

void Limit(grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             kMinPingIntervalMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  // Strangers come no further than a handshake, members have few calls at a time.
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxConcurrentCalls);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxHeaderBytes);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kWindowBytes);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_FRAME_SIZE, kFrameBytes);
  // Two coordinators on one port would each see half of the calls.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
}

// Lets the admin in whose certificate was made in the coordinator's folder: by `init`, which has no
// registry to write it down in, by `renew --admin`, or by a version before 0.3.
Status AdoptAdmin(const std::filesystem::path& folder, Registry& registry) {
  if (const auto pem = ReadFile(folder / kCertificateFile); pem.ok()) {
    CSL_RETURN_IF_ERROR(registry.AdoptAdmin(*pem));
  }
  CSL_ASSIGN_OR_RETURN(const bool has_admin, registry.HasActiveAdmin());
  if (!has_admin) {
    spdlog::error("no admin can call: make one with consilium-server renew --admin, and restart");
  }
  return OkStatus();
}

// What the coordinator ran as, so that a change of its settings shows.
Status NoteStart(const std::filesystem::path& folder, AuditTrail& trail) {
  CSL_ASSIGN_OR_RETURN(const std::string settings, ReadFile(folder / kServerFile));
  return trail.Append("started",
                      {{"software", SoftwareVersion()}, {"settings", Sha256Of(settings)}});
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
  std::unique_ptr<AuditTrail> trail;
  std::unique_ptr<Store> store;
  std::unique_ptr<Registry> registry;
  std::unique_ptr<ServerIdentity> identity;
  std::unique_ptr<Coordinator> coordinator;
  std::unique_ptr<ModelSigner> signer;
  std::unique_ptr<Housekeeping> housekeeping;
  OpenCalls open_calls;
  std::unique_ptr<Gate> gate;
  std::unique_ptr<HandshakeWatch> handshakes;
  std::unique_ptr<CoordinatorService> coordinator_service;
  std::unique_ptr<ModelService> model_service;
  std::unique_ptr<BlobService> blob_service;
  std::unique_ptr<AdminService> admin_service;
  std::unique_ptr<EnrolmentService> enrolment_service;
  std::unique_ptr<MembershipService> membership_service;
  int port = 0;
  int enrol_port = 0;
  std::jthread worker;
  std::unique_ptr<grpc::Server> server;
  std::unique_ptr<grpc::Server> enrol_server;
  std::unique_ptr<Relay> relay;

  std::filesystem::path folder;

  Status Open();
  Status Serve(const Listen& listen);
  void Work(const std::stop_token& stop);
};

Status Server::Parts::Open() {
  CSL_ASSIGN_OR_RETURN(options, ReadServerOptions(folder));
  CSL_ASSIGN_OR_RETURN(lock, LockFolder(folder));
  CSL_ASSIGN_OR_RETURN(Authority authority, Authority::Load(folder / kAuthorityFolder));
  CSL_ASSIGN_OR_RETURN(trail, AuditTrail::Open(folder / kTrailFile, clock));
  CSL_ASSIGN_OR_RETURN(store, Store::Open(folder / kDatabaseFile));
  CSL_ASSIGN_OR_RETURN(BlobStore blobs, BlobStore::Open(folder));
  registry =
      std::make_unique<Registry>(*store, *trail, clock, std::move(authority), options.federation);
  CSL_RETURN_IF_ERROR(AdoptAdmin(folder / kAdminFolder, *registry));
  CSL_ASSIGN_OR_RETURN(identity, ServerIdentity::Open(folder, options, *registry, clock.Now()));
  CSL_ASSIGN_OR_RETURN(coordinator,
                       Coordinator::Create(*store, std::move(blobs), *registry, *trail, clock));
  CSL_ASSIGN_OR_RETURN(signer, ModelSigner::Open(folder, *registry, *coordinator, clock));
  housekeeping = std::make_unique<Housekeeping>(folder, *registry, *identity, *signer);
  gate = std::make_unique<Gate>(*registry, open_calls, *trail, clock);
  return NoteStart(folder, *trail);
}

Status Server::Parts::Serve(const Listen& listen) {
  enrolment_service = std::make_unique<EnrolmentService>(
      *gate, *registry, fmt::format("{}:{}", options.host, options.port));
  grpc::ServerBuilder enrol_builder;
  Limit(enrol_builder);
  enrol_builder.AddListeningPort(Or(listen.enrol_address, options.enrol_port),
                                 EnrolmentTlsServer(identity->identity_file()), &enrol_port);
  enrol_builder.RegisterService(enrolment_service.get());
  enrol_server = enrol_builder.BuildAndStart();
  if (enrol_server == nullptr || enrol_port == 0) {
    return Unavailable("cannot listen on {}: is the port taken?",
                       Or(listen.enrol_address, options.enrol_port));
  }

  coordinator_service =
      std::make_unique<CoordinatorService>(*gate, *coordinator, *signer, *trail, clock);
  model_service = std::make_unique<ModelService>(*gate, *coordinator, *signer, *store);
  blob_service = std::make_unique<BlobService>(*gate, *coordinator, *store);
  admin_service = std::make_unique<AdminService>(
      *gate, *coordinator, *registry, open_calls, *store, folder / kTrailFile, *trail,
      fmt::format("{}:{}", options.host, options.enrol_port));
  membership_service = std::make_unique<MembershipService>(*gate, *registry);
  const auto note_refusal = [this](const std::string& why) { gate->NoteRefusedConnection(why); };
  handshakes = std::make_unique<HandshakeWatch>(note_refusal);
  grpc::ServerBuilder builder;
  Limit(builder);
  builder.AddListeningPort(Or(listen.address, options.port),
                           MutualTlsServer({identity->ca_file(), identity->identity_file()},
                                           registry->authority().root(), note_refusal),
                           &port);
  builder.RegisterService(coordinator_service.get());
  builder.RegisterService(model_service.get());
  builder.RegisterService(blob_service.get());
  builder.RegisterService(admin_service.get());
  builder.RegisterService(membership_service.get());
  server = builder.BuildAndStart();
  if (server == nullptr || port == 0) {
    return Unavailable("cannot listen on {}: is the port taken?", Or(listen.address, options.port));
  }
  worker = std::jthread([this](const std::stop_token& stop) { Work(stop); });
  if (!options.higher.empty()) {
    CSL_ASSIGN_OR_RETURN(relay, Relay::Start(options.higher, *coordinator));
  }
  return OkStatus();
}

void Server::Parts::Work(const std::stop_token& stop) {
  TimePoint kept_house;
  TimePoint returned = clock.Now();
  while (!stop.stop_requested()) {
    coordinator->Work();
    coordinator->WaitForWork(kWorkInterval);
    const TimePoint now = clock.Now();
    if (now - kept_house >= kHousekeepingInterval) {
      kept_house = now;
      housekeeping->Work(now);
      open_calls.CutSlow(now);
    }
    if (now - returned >= kReturnMemoryInterval) {
      returned = now;
      ReturnFreedMemory();
    }
  }
}

StatusOr<std::unique_ptr<Server>> Server::Start(const std::filesystem::path& folder,
                                                const Listen& listen) {
  std::unique_ptr<Server> server(new Server(std::make_unique<Parts>()));
  server->parts_->folder = folder;
  CSL_RETURN_IF_ERROR(server->parts_->Open());
  CSL_RETURN_IF_ERROR(server->parts_->Serve(listen));
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
