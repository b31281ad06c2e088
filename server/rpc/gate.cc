#include "server/rpc/gate.h"

#include <grpc/grpc_security_constants.h>
#include <grpcpp/server_context.h>
#include <spdlog/spdlog.h>

#include "common/rpc/protocol.h"
#include "server/rpc/access.h"

namespace consilium {
namespace {

std::string_view MetadataOf(const grpc::CallbackServerContext& context, const char* key) {
  const auto found = context.client_metadata().find(key);
  if (found == context.client_metadata().end()) return "";
  return {found->second.data(), found->second.size()};
}

Status CheckProtocol(grpc::CallbackServerContext& context) {
  context.AddInitialMetadata(kProtocolKey, ProtocolVersion());
  context.AddInitialMetadata(kSoftwareKey, std::string(SoftwareVersion()));
  context.AddInitialMetadata(kTimeKey, std::to_string(ToUnixMillis(SystemClock().Now())));
  return CheckCallerProtocol(MetadataOf(context, kProtocolKey), MetadataOf(context, kSoftwareKey));
}

// "ipv4:10.0.0.7:4711" without the port.
std::string AddressOf(const grpc::CallbackServerContext& context) {
  const std::string peer = context.peer();
  return peer.substr(0, peer.rfind(':'));
}

// Who the certificate says it is, believed or not.
std::string ClaimedName(const std::string& certificate_pem) {
  const auto certificate = Certificate::FromPem(certificate_pem);
  if (!certificate.ok()) return "";
  const auto uris = certificate->Uris();
  return uris.empty() ? certificate->Subject() : uris.front();
}

bool IsRefusal(const Status& status) {
  return absl::IsPermissionDenied(status) || absl::IsUnauthenticated(status);
}

}  // namespace

std::string PeerCertificate(const grpc::CallbackServerContext& context) {
  const auto pem = context.auth_context()->FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME);
  return pem.size() == 1 ? std::string(pem[0].data(), pem[0].size()) : "";
}

StatusOr<Identity> Gate::Admit(grpc::CallbackServerContext& context, std::string_view rpc) {
  const std::string certificate = PeerCertificate(context);
  auto identity = registry_.Authenticate(certificate);
  if (identity.ok() && !MayCall(identity->role, rpc)) {
    identity =
        PermissionDenied("{} '{}' may not call {}", RoleName(identity->role), identity->name, rpc);
  }
  if (!identity.ok()) {
    Note(identity.status(), context.peer(), ClaimedName(certificate), rpc);
    return identity.status();
  }
  {
    MutexLock lock(mu_);
    if (!calls_.Take(identity->name, clock_.Now())) {
      return Unavailable("'{}' calls too often; wait a moment", identity->name);
    }
  }
  CSL_RETURN_IF_ERROR(CheckProtocol(context));
  return identity;
}

StatusOr<OpenCaller> Gate::AdmitOpen(grpc::CallbackServerContext& context, std::string_view rpc) {
  CSL_ASSIGN_OR_RETURN(Identity identity, Admit(context, rpc));
  OpenCalls::Entry open(open_calls_, identity.name, context);
  // Who was revoked before the call was to be seen as open is not cut, but refused here.
  CSL_RETURN_IF_ERROR(registry_.Authenticate(PeerCertificate(context)));
  return OpenCaller{std::move(identity), std::move(open)};
}

Status Gate::AdmitNewcomer(grpc::CallbackServerContext& context, std::string_view rpc) {
  if (!IsOpenToAll(rpc)) return PermissionDenied("{} needs a client certificate", rpc);
  bool may = false;
  {
    MutexLock lock(mu_);
    may = joins_.Take(AddressOf(context), clock_.Now());
  }
  if (!may) {
    const Status refused = Unavailable("too many attempts to join; wait a minute");
    Note(refused, context.peer(), "", rpc);
    return refused;
  }
  return CheckProtocol(context);
}

void Gate::NoteIfRefused(const Status& status, const std::string& peer, const std::string& member,
                         std::string_view rpc) {
  if (IsRefusal(status)) Note(status, peer, member, rpc);
}

void Gate::Note(const Status& status, const std::string& peer, const std::string& member,
                std::string_view rpc) {
  NoteBounded({{"call", rpc},
               {"peer", peer},
               {"certificate", member},
               {"reason", std::string(status.message())}});
}

void Gate::NoteRefusedConnection(const std::string& reason) {
  NoteBounded({{"call", ""}, {"reason", reason}});
}

void Gate::NoteBounded(AuditFields fields) {
  {
    MutexLock lock(mu_);
    if (!notes_.Take("", clock_.Now())) {
      ++left_out_;
      return;
    }
    if (left_out_ > 0) fields["left_out_before"] = std::exchange(left_out_, 0);
  }
  const Status noted = trail_.Append("refused", fields);
  if (!noted.ok()) spdlog::error("audit: {}", std::string(noted.message()));
}

}  // namespace consilium
