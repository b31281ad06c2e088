#include "server/rpc/membership_service.h"

#include <spdlog/spdlog.h>

namespace consilium {

grpc::ServerUnaryReactor* MembershipService::Renew(grpc::CallbackServerContext* context,
                                                   const v1::RenewRequest* request,
                                                   v1::RenewResponse* response) {
  return gate_.Answer(context, "MembershipService/Renew", [&](const Identity& caller) -> Status {
    CSL_ASSIGN_OR_RETURN(*response->mutable_certificate_pem(),
                         registry_.Renew(PeerCertificate(*context), request->request_pem()));
    spdlog::info("{} '{}' renewed its certificate", RoleName(caller.role), caller.name);
    return OkStatus();
  });
}

grpc::ServerUnaryReactor* MembershipService::GetRevocationList(
    grpc::CallbackServerContext* context, const v1::GetRevocationListRequest* /*request*/,
    v1::GetRevocationListResponse* response) {
  return gate_.Answer(
      context, "MembershipService/GetRevocationList", [&](const Identity&) -> Status {
        CSL_ASSIGN_OR_RETURN(*response->mutable_list_pem(), registry_.RevocationList());
        return OkStatus();
      });
}

}  // namespace consilium
