#include "server/rpc/caller.h"

#include <grpc/grpc_security_constants.h>
#include <grpcpp/server_context.h>

#include <algorithm>

namespace consilium {

StatusOr<Identity> Authorise(const grpc::CallbackServerContext& context, Registry& registry,
                             std::initializer_list<Role> roles) {
  const auto pem = context.auth_context()->FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME);
  if (pem.size() != 1) return Unauthenticated("this call needs a client certificate");
  CSL_ASSIGN_OR_RETURN(const Identity identity,
                       registry.Authenticate({pem[0].data(), pem[0].size()}));
  if (std::find(roles.begin(), roles.end(), identity.role) == roles.end()) {
    return PermissionDenied("a {} may not make this call", RoleName(identity.role));
  }
  return identity;
}

}  // namespace consilium
