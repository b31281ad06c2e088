#pragma once

#include <string>

#include "consilium/v1/admin.grpc.pb.h"
#include "server/round/coordinator.h"
#include "server/rpc/open_calls.h"

namespace consilium {

// What consilium-ctl calls.
class AdminService final : public v1::AdminService::CallbackService {
 public:
  // enrol_endpoint: where an invited hospital joins, HOST:PORT.
  AdminService(Coordinator& coordinator, Registry& registry, OpenCalls& open_calls, Store& store,
               std::string enrol_endpoint)
      : coordinator_(coordinator),
        registry_(registry),
        open_calls_(open_calls),
        store_(store),
        enrol_endpoint_(std::move(enrol_endpoint)) {}

  grpc::ServerUnaryReactor* Invite(grpc::CallbackServerContext* context,
                                   const v1::InviteRequest* request,
                                   v1::InviteResponse* response) override;
  grpc::ServerUnaryReactor* ListSites(grpc::CallbackServerContext* context,
                                      const v1::ListSitesRequest* request,
                                      v1::ListSitesResponse* response) override;
  grpc::ServerUnaryReactor* RevokeSite(grpc::CallbackServerContext* context,
                                       const v1::RevokeSiteRequest* request,
                                       v1::RevokeSiteResponse* response) override;
  grpc::ServerUnaryReactor* SubmitRun(grpc::CallbackServerContext* context,
                                      const v1::SubmitRunRequest* request,
                                      v1::SubmitRunResponse* response) override;
  grpc::ServerUnaryReactor* ListRuns(grpc::CallbackServerContext* context,
                                     const v1::ListRunsRequest* request,
                                     v1::ListRunsResponse* response) override;
  grpc::ServerUnaryReactor* GetRun(grpc::CallbackServerContext* context,
                                   const v1::GetRunRequest* request,
                                   v1::GetRunResponse* response) override;
  grpc::ServerUnaryReactor* PauseRun(grpc::CallbackServerContext* context,
                                     const v1::PauseRunRequest* request,
                                     v1::PauseRunResponse* response) override;
  grpc::ServerUnaryReactor* ResumeRun(grpc::CallbackServerContext* context,
                                      const v1::ResumeRunRequest* request,
                                      v1::ResumeRunResponse* response) override;
  grpc::ServerUnaryReactor* CancelRun(grpc::CallbackServerContext* context,
                                      const v1::CancelRunRequest* request,
                                      v1::CancelRunResponse* response) override;

 private:
  // Answers a call with what the handler, which gets the caller's identity, says.
  template <typename Handler>
  grpc::ServerUnaryReactor* AnswerCaller(grpc::CallbackServerContext* context, std::string_view rpc,
                                         Handler&& handler);

  Coordinator& coordinator_;
  Registry& registry_;
  OpenCalls& open_calls_;
  Store& store_;
  const std::string enrol_endpoint_;
};

}  // namespace consilium
