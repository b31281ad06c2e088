#pragma once

#include <filesystem>
#include <string>

#include "consilium/v1/admin.grpc.pb.h"
#include "server/round/coordinator.h"
#include "server/rpc/gate.h"
#include "server/rpc/open_calls.h"

namespace consilium {

// What consilium-ctl calls.
class AdminService final : public v1::AdminService::CallbackService {
 public:
  // enrol_endpoint: where an invited hospital joins, HOST:PORT.
  AdminService(Gate& gate, Coordinator& coordinator, Registry& registry, OpenCalls& open_calls,
               Store& store, std::filesystem::path trail_file, AuditTrail& trail,
               std::string enrol_endpoint)
      : gate_(gate),
        coordinator_(coordinator),
        registry_(registry),
        open_calls_(open_calls),
        store_(store),
        trail_file_(std::move(trail_file)),
        trail_(trail),
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
  grpc::ServerUnaryReactor* ReleaseModel(grpc::CallbackServerContext* context,
                                         const v1::ReleaseModelRequest* request,
                                         v1::ReleaseModelResponse* response) override;
  grpc::ServerUnaryReactor* WithdrawModel(grpc::CallbackServerContext* context,
                                          const v1::WithdrawModelRequest* request,
                                          v1::WithdrawModelResponse* response) override;
  grpc::ServerUnaryReactor* ListReleases(grpc::CallbackServerContext* context,
                                         const v1::ListReleasesRequest* request,
                                         v1::ListReleasesResponse* response) override;
  grpc::ServerUnaryReactor* ReadAudit(grpc::CallbackServerContext* context,
                                      const v1::ReadAuditRequest* request,
                                      v1::ReadAuditResponse* response) override;

 private:
  // Writes down who asked for a change of a run.
  Status NoteRequest(std::string_view event, const std::string& run_id, const Identity& admin);

  Gate& gate_;
  Coordinator& coordinator_;
  Registry& registry_;
  OpenCalls& open_calls_;
  Store& store_;
  const std::filesystem::path trail_file_;
  AuditTrail& trail_;
  const std::string enrol_endpoint_;
};

}  // namespace consilium
