#pragma once

#include <string>

#include "consilium/v1/enrolment.grpc.pb.h"
#include "server/registry/registry.h"
#include "server/rpc/gate.h"

namespace consilium {

// The one call that needs no certificate: it gives one.
class EnrolmentService final : public v1::EnrolmentService::CallbackService {
 public:
  // endpoint: where the hospital calls from then on, HOST:PORT.
  EnrolmentService(Gate& gate, Registry& registry, std::string endpoint)
      : gate_(gate), registry_(registry), endpoint_(std::move(endpoint)) {}

  grpc::ServerUnaryReactor* Join(grpc::CallbackServerContext* context,
                                 const v1::JoinRequest* request,
                                 v1::JoinResponse* response) override;

 private:
  Gate& gate_;
  Registry& registry_;
  const std::string endpoint_;
};

}  // namespace consilium
