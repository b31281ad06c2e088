#pragma once

// What hospitals call: tasks out, reports in. A thin face of the Coordinator.

#include "consilium/v1/coordinator.grpc.pb.h"
#include "server/round/coordinator.h"
#include "server/rpc/gate.h"
#include "server/rpc/model_signer.h"

namespace consilium {

// A waiting hospital holds a reactor and no thread.
class CoordinatorService final : public v1::CoordinatorService::CallbackService {
 public:
  CoordinatorService(Gate& gate, Coordinator& coordinator, const ModelSigner& signer,
                     AuditTrail& trail, const Clock& clock)
      : gate_(gate), coordinator_(coordinator), signer_(signer), trail_(trail), clock_(clock) {}

  grpc::ServerUnaryReactor* NextTask(grpc::CallbackServerContext* context,
                                     const v1::NextTaskRequest* request,
                                     v1::NextTaskResponse* response) override;
  grpc::ServerUnaryReactor* ReportTask(grpc::CallbackServerContext* context,
                                       const v1::ReportTaskRequest* request,
                                       v1::ReportTaskResponse* response) override;

 private:
  Status KeepHead(const Identity& caller, const std::string& certificate_pem,
                  const v1::ReportTaskRequest& request);

  Gate& gate_;
  Coordinator& coordinator_;
  const ModelSigner& signer_;
  AuditTrail& trail_;
  const Clock& clock_;
};

// Global models, and what the coordinator answers for of them.
class ModelService final : public v1::ModelService::CallbackService {
 public:
  ModelService(Gate& gate, Coordinator& coordinator, const ModelSigner& signer, Store& store)
      : gate_(gate), coordinator_(coordinator), signer_(signer), store_(store) {}

  grpc::ServerUnaryReactor* ListModels(grpc::CallbackServerContext* context,
                                       const v1::ListModelsRequest* request,
                                       v1::ListModelsResponse* response) override;
  grpc::ServerUnaryReactor* GetManifest(grpc::CallbackServerContext* context,
                                        const v1::GetManifestRequest* request,
                                        v1::GetManifestResponse* response) override;
  grpc::ServerUnaryReactor* GetRelease(grpc::CallbackServerContext* context,
                                       const v1::GetReleaseRequest* request,
                                       v1::GetReleaseResponse* response) override;

 private:
  Gate& gate_;
  Coordinator& coordinator_;
  const ModelSigner& signer_;
  Store& store_;
};

// As messages say it.
v1::ModelRef ToProto(const std::string& run_id, const ModelVersion& model);

}  // namespace consilium
