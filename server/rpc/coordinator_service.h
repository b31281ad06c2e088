#pragma once

// What hospitals call: tasks out, reports in. A thin face of the Coordinator.

#include "consilium/v1/coordinator.grpc.pb.h"
#include "server/round/coordinator.h"
#include "server/rpc/open_calls.h"

namespace consilium {

// A waiting hospital holds a reactor and no thread.
class CoordinatorService final : public v1::CoordinatorService::CallbackService {
 public:
  CoordinatorService(Coordinator& coordinator, Registry& registry, OpenCalls& open_calls,
                     const Clock& clock)
      : coordinator_(coordinator), registry_(registry), open_calls_(open_calls), clock_(clock) {}

  grpc::ServerUnaryReactor* NextTask(grpc::CallbackServerContext* context,
                                     const v1::NextTaskRequest* request,
                                     v1::NextTaskResponse* response) override;
  grpc::ServerUnaryReactor* ReportTask(grpc::CallbackServerContext* context,
                                       const v1::ReportTaskRequest* request,
                                       v1::ReportTaskResponse* response) override;

 private:
  Coordinator& coordinator_;
  Registry& registry_;
  OpenCalls& open_calls_;
  const Clock& clock_;
};

// Models that any member of the federation may list.
class ModelService final : public v1::ModelService::CallbackService {
 public:
  ModelService(Coordinator& coordinator, Registry& registry)
      : coordinator_(coordinator), registry_(registry) {}

  grpc::ServerUnaryReactor* ListModels(grpc::CallbackServerContext* context,
                                       const v1::ListModelsRequest* request,
                                       v1::ListModelsResponse* response) override;

 private:
  Coordinator& coordinator_;
  Registry& registry_;
};

// As messages say it.
v1::ModelRef ToProto(const std::string& run_id, const ModelVersion& model);

}  // namespace consilium
