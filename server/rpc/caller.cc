#include "server/rpc/caller.h"

#include <grpc/grpc_security_constants.h>
#include <grpcpp/server_context.h>

#include <algorithm>

#include "common/rpc/protocol.h"

namespace consilium {
namespace {

std::string_view MetadataOf(const grpc::CallbackServerContext& context, const char* key) {
  const auto found = context.client_metadata().find(key);
  if (found == context.client_metadata().end()) return "";
  return {found->second.data(), found->second.size()};
}

}  // namespace

Status CheckProtocol(grpc::CallbackServerContext& context) {
  context.AddInitialMetadata(kProtocolKey, ProtocolVersion());
  context.AddInitialMetadata(kSoftwareKey, std::string(SoftwareVersion()));
  context.AddInitialMetadata(kTimeKey, std::to_string(ToUnixMillis(SystemClock().Now())));
  return CheckCallerProtocol(MetadataOf(context, kProtocolKey), MetadataOf(context, kSoftwareKey));
}

StatusOr<Identity> Authorise(grpc::CallbackServerContext& context, Registry& registry,
                             std::initializer_list<Role> roles) {
  const auto pem = context.auth_context()->FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME);
  if (pem.size() != 1) return Unauthenticated("this call needs a client certificate");
  CSL_ASSIGN_OR_RETURN(const Identity identity,
                       registry.Authenticate({pem[0].data(), pem[0].size()}));
  if (std::find(roles.begin(), roles.end(), identity.role) == roles.end()) {
    return PermissionDenied("a {} may not make this call", RoleName(identity.role));
  }
  CSL_RETURN_IF_ERROR(CheckProtocol(context));
  return identity;
}

}  // namespace consilium
