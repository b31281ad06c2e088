#pragma once

#include "consilium/v1/membership.grpc.pb.h"
#include "server/registry/registry.h"

namespace consilium {

// Certificates of those who have one.
class MembershipService final : public v1::MembershipService::CallbackService {
 public:
  explicit MembershipService(Registry& registry) : registry_(registry) {}

  grpc::ServerUnaryReactor* Renew(grpc::CallbackServerContext* context,
                                  const v1::RenewRequest* request,
                                  v1::RenewResponse* response) override;
  grpc::ServerUnaryReactor* GetRevocationList(grpc::CallbackServerContext* context,
                                              const v1::GetRevocationListRequest* request,
                                              v1::GetRevocationListResponse* response) override;

 private:
  Registry& registry_;
};

}  // namespace consilium
