#include "server/rpc/coordinator_service.h"

#include <algorithm>
#include <cmath>

#include "common/crypto/digest.h"
#include "common/rpc/protocol.h"
#include "common/wire/convert.h"
#include "server/rpc/answer.h"
#include "server/rpc/caller.h"

namespace consilium {
namespace {

constexpr std::uint32_t kMaxWaitSeconds = 60;

v1::TaskKind ToProto(TaskKind kind) {
  switch (kind) {
    case TaskKind::kInitialise:
      return v1::TASK_KIND_INITIALISE;
    case TaskKind::kTrain:
      return v1::TASK_KIND_TRAIN;
    case TaskKind::kEvaluate:
      return v1::TASK_KIND_EVALUATE;
  }
  return v1::TASK_KIND_UNSPECIFIED;
}

Status FillTask(const Assignment& assignment, v1::Task* message) {
  message->set_task_id(assignment.task.id);
  message->set_run_id(assignment.run_id);
  message->set_round(static_cast<std::uint32_t>(assignment.task.round));
  message->set_kind(ToProto(assignment.task.kind));
  message->set_deadline_unix_ms(ToUnixMillis(assignment.deadline));
  message->set_progress_interval_ms(
      static_cast<std::uint32_t>(ProgressInterval(assignment.round_deadline).count()));
  if (assignment.model) *message->mutable_model() = ToProto(assignment.run_id, *assignment.model);
  if (!message->mutable_plan()->ParseFromString(assignment.plan)) {
    return Internal("the plan of {} is damaged", assignment.run_id);
  }
  return OkStatus();
}

// A long poll: lives until the coordinator has a task, the wait is over, or the caller is gone.
class NextTaskReactor final : public grpc::ServerUnaryReactor {
 public:
  NextTaskReactor(Coordinator& coordinator, OpenCaller caller, TimePoint until,
                  v1::NextTaskResponse* response)
      : coordinator_(coordinator), caller_(std::move(caller)) {
    wait_ = coordinator_.WaitForTask(caller_.identity.name, until, [this, response](auto found) {
      Status status = found.status();
      if (found.ok() && found->has_value()) status = FillTask(**found, response->mutable_task());
      Finish(ToCaller(status));
    });
  }

  void OnCancel() override {
    if (coordinator_.StopWaiting(wait_)) Finish(grpc::Status::CANCELLED);
  }
  void OnDone() override { delete this; }

 private:
  Coordinator& coordinator_;
  const OpenCaller caller_;
  Coordinator::WaitId wait_ = 0;
};

StatusOr<TaskReport> ReadReport(const v1::ReportTaskRequest& request) {
  if (request.has_failure()) {
    const v1::TaskFailure& failure = request.failure();
    return TaskEnded{request.task_id(),
                     failure.refused() ? TaskStatus::kRefused : TaskStatus::kFailed,
                     failure.reason()};
  }
  if (!request.has_result()) return InvalidArgument("the report has no outcome");
  const v1::TaskResult& result = request.result();
  if (!result.blob_digest().empty() && !IsDigest(result.blob_digest())) {
    return InvalidArgument("blob_digest is not a digest");
  }
  if (!std::isfinite(result.train_loss()) || !std::isfinite(result.train_seconds())) {
    return InvalidArgument("train_loss and train_seconds must be finite");
  }
  TaskSucceeded success{request.task_id(),
                        {.blob_digest = result.blob_digest(),
                         .train_examples = result.train_examples(),
                         .train_loss = result.train_loss(),
                         .train_seconds = result.train_seconds()}};
  CSL_ASSIGN_OR_RETURN(success.result.evaluation, FromProto(result.evaluation()));
  return success;
}

// A stage that this version does not know counts as none.
TaskProgress FromProto(const v1::TaskProgress& message) {
  const bool known = message.stage() >= 0 && message.stage() < static_cast<int>(kTaskStages);
  return {.stage = known ? static_cast<TaskStage>(message.stage()) : TaskStage::kUnknown,
          .done = message.done(),
          .total = message.total()};
}

}  // namespace

grpc::ServerUnaryReactor* CoordinatorService::NextTask(grpc::CallbackServerContext* context,
                                                       const v1::NextTaskRequest* request,
                                                       v1::NextTaskResponse* response) {
  auto caller = AuthoriseOpen(*context, registry_, open_calls_, "CoordinatorService/NextTask");
  if (!caller.ok()) return Answer(context, [&] { return caller.status(); });
  if (request->protocol() != kProtocolMajor) {  // how version 1.0 says it
    return Answer(context, [&] {
      return CheckCallerProtocol(std::to_string(request->protocol()), request->software());
    });
  }
  if (request->has_in_hand()) {
    const TaskStanding standing = coordinator_.NoteProgress(
        caller->identity.name, request->in_hand().task_id(), FromProto(request->in_hand()));
    // Whoever does not wait is at the task, and has it.
    if (standing != TaskStanding::kOpen || request->wait_seconds() == 0) {
      response->set_in_hand_ended(standing == TaskStanding::kEnded);
      return Answer(context, [] { return OkStatus(); });
    }
  }
  const std::chrono::seconds wait(std::min(request->wait_seconds(), kMaxWaitSeconds));
  return new NextTaskReactor(coordinator_, *std::move(caller), clock_.Now() + wait, response);
}

grpc::ServerUnaryReactor* CoordinatorService::ReportTask(grpc::CallbackServerContext* context,
                                                         const v1::ReportTaskRequest* request,
                                                         v1::ReportTaskResponse* response) {
  return Answer(context, [&]() -> Status {
    CSL_ASSIGN_OR_RETURN(const Identity caller,
                         Authorise(*context, registry_, "CoordinatorService/ReportTask"));
    CSL_ASSIGN_OR_RETURN(const TaskReport report, ReadReport(*request));
    CSL_ASSIGN_OR_RETURN(*response->mutable_note(), coordinator_.Report(caller.name, report));
    return OkStatus();
  });
}

grpc::ServerUnaryReactor* ModelService::ListModels(grpc::CallbackServerContext* context,
                                                   const v1::ListModelsRequest* request,
                                                   v1::ListModelsResponse* response) {
  return Answer(context, [&]() -> Status {
    CSL_RETURN_IF_ERROR(Authorise(*context, registry_, "ModelService/ListModels"));
    if (!request->run_id().empty()) {
      CSL_RETURN_IF_ERROR(coordinator_.FindRun(request->run_id()));
    }
    for (const RunState& run : coordinator_.Runs()) {
      if (run.status == RunStatus::kCompleted || run.status == RunStatus::kDegraded) {
        response->set_completed_run_id(run.id);
      }
      if (!request->run_id().empty() && run.id != request->run_id()) continue;
      for (const ModelVersion& model : run.models) {
        *response->add_models() = ToProto(run.id, model);
      }
    }
    return OkStatus();
  });
}

v1::ModelRef ToProto(const std::string& run_id, const ModelVersion& model) {
  v1::ModelRef message;
  message.set_digest(model.digest);
  message.set_size_bytes(model.bytes);
  message.set_run_id(run_id);
  message.set_round(static_cast<std::uint32_t>(model.round));
  return message;
}

}  // namespace consilium
