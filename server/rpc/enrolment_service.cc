#include "server/rpc/enrolment_service.h"

#include <spdlog/spdlog.h>

namespace consilium {
namespace {

constexpr char kRpc[] = "EnrolmentService/Join";

}  // namespace

grpc::ServerUnaryReactor* EnrolmentService::Join(grpc::CallbackServerContext* context,
                                                 const v1::JoinRequest* request,
                                                 v1::JoinResponse* response) {
  return Answer(context, [&]() -> Status {
    CSL_RETURN_IF_ERROR(gate_.AdmitNewcomer(*context, kRpc));
    const auto enrolment =
        registry_.Join(request->token(), request->request_pem(), context->peer());
    if (!enrolment.ok()) {
      gate_.NoteIfRefused(enrolment.status(), context->peer(), "", kRpc);
      spdlog::warn("join from {} refused: {}", context->peer(),
                   std::string(enrolment.status().message()));
      return enrolment.status();
    }
    spdlog::info("{} '{}' joined from {}", RoleName(enrolment->identity.role),
                 enrolment->identity.name, context->peer());
    response->set_certificate_pem(enrolment->certificate_pem);
    response->set_ca_pem(registry_.authority().root_pem());
    response->set_federation(enrolment->identity.federation);
    response->set_site(enrolment->identity.name);
    response->set_endpoint(endpoint_);
    return OkStatus();
  });
}

}  // namespace consilium
