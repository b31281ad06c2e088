#include "server/rpc/membership_service.h"

#include <spdlog/spdlog.h>

#include "server/rpc/answer.h"
#include "server/rpc/caller.h"

namespace consilium {

grpc::ServerUnaryReactor* MembershipService::Renew(grpc::CallbackServerContext* context,
                                                   const v1::RenewRequest* request,
                                                   v1::RenewResponse* response) {
  return Answer(context, [&]() -> Status {
    CSL_ASSIGN_OR_RETURN(const Identity caller,
                         Authorise(*context, registry_, "MembershipService/Renew"));
    CSL_ASSIGN_OR_RETURN(*response->mutable_certificate_pem(),
                         registry_.Renew(PeerCertificate(*context), request->request_pem()));
    spdlog::info("{} '{}' renewed its certificate", RoleName(caller.role), caller.name);
    return OkStatus();
  });
}

grpc::ServerUnaryReactor* MembershipService::GetRevocationList(
    grpc::CallbackServerContext* context, const v1::GetRevocationListRequest* /*request*/,
    v1::GetRevocationListResponse* response) {
  return Answer(context, [&]() -> Status {
    CSL_RETURN_IF_ERROR(Authorise(*context, registry_, "MembershipService/GetRevocationList"));
    CSL_ASSIGN_OR_RETURN(*response->mutable_list_pem(), registry_.RevocationList());
    return OkStatus();
  });
}

}  // namespace consilium
