#pragma once

#include "consilium/v1/membership.grpc.pb.h"
#include "server/registry/registry.h"
#include "server/rpc/gate.h"

namespace consilium {

// Certificates of those who have one.
class MembershipService final : public v1::MembershipService::CallbackService {
 public:
  MembershipService(Gate& gate, Registry& registry) : gate_(gate), registry_(registry) {}

  grpc::ServerUnaryReactor* Renew(grpc::CallbackServerContext* context,
                                  const v1::RenewRequest* request,
                                  v1::RenewResponse* response) override;
  grpc::ServerUnaryReactor* GetRevocationList(grpc::CallbackServerContext* context,
                                              const v1::GetRevocationListRequest* request,
                                              v1::GetRevocationListResponse* response) override;

 private:
  Gate& gate_;
  Registry& registry_;
};

}  // namespace consilium
