#include "server/rpc/caller.h"

#include <grpc/grpc_security_constants.h>
#include <grpcpp/server_context.h>

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

}  // namespace

std::string PeerCertificate(const grpc::CallbackServerContext& context) {
  const auto pem = context.auth_context()->FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME);
  return pem.size() == 1 ? std::string(pem[0].data(), pem[0].size()) : "";
}

Status AuthoriseNewcomer(grpc::CallbackServerContext& context, std::string_view rpc) {
  if (!IsOpenToAll(rpc)) return PermissionDenied("{} needs a client certificate", rpc);
  return CheckProtocol(context);
}

StatusOr<Identity> Authorise(grpc::CallbackServerContext& context, Registry& registry,
                             std::string_view rpc) {
  CSL_ASSIGN_OR_RETURN(const Identity identity, registry.Authenticate(PeerCertificate(context)));
  if (!MayCall(identity.role, rpc)) {
    return PermissionDenied("{} '{}' may not call {}", RoleName(identity.role), identity.name, rpc);
  }
  CSL_RETURN_IF_ERROR(CheckProtocol(context));
  return identity;
}

StatusOr<OpenCaller> AuthoriseOpen(grpc::CallbackServerContext& context, Registry& registry,
                                   OpenCalls& calls, std::string_view rpc) {
  CSL_ASSIGN_OR_RETURN(Identity identity, Authorise(context, registry, rpc));
  OpenCalls::Entry open(calls, identity.name, context);
  // Who was revoked before the call was to be seen as open is not cut, but refused here.
  CSL_RETURN_IF_ERROR(registry.Authenticate(PeerCertificate(context)));
  return OpenCaller{std::move(identity), std::move(open)};
}

}  // namespace consilium
