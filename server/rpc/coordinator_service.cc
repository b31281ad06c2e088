#include "server/rpc/coordinator_service.h"

#include <algorithm>
#include <cmath>

#include "certs/trail_head.h"
#include "common/crypto/digest.h"
#include "common/rpc/protocol.h"
#include "common/wire/convert.h"

namespace consilium {
namespace {

constexpr std::uint32_t kMaxWaitSeconds = 60;
constexpr char kReportTask[] = "CoordinatorService/ReportTask";

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

Status FillTask(const Assignment& assignment, const ModelSigner& signer, v1::Task* message) {
  message->set_task_id(assignment.task.id);
  message->set_run_id(assignment.run_id);
  message->set_round(static_cast<std::uint32_t>(assignment.task.round));
  message->set_kind(ToProto(assignment.task.kind));
  message->set_deadline_unix_ms(ToUnixMillis(assignment.deadline));
  message->set_progress_interval_ms(
      static_cast<std::uint32_t>(ProgressInterval(assignment.round_deadline).count()));
  message->set_control_variate(assignment.control_variate);
  message->mutable_class_counts()->Add(assignment.class_counts.begin(),
                                       assignment.class_counts.end());
  message->set_cohort_sites(static_cast<std::uint32_t>(assignment.cohort_sites));
  if (assignment.model) {
    *message->mutable_model() = ToProto(assignment.run_id, *assignment.model);
    CSL_ASSIGN_OR_RETURN(*message->mutable_manifest(),
                         signer.RecentManifestOf(assignment.run_id, assignment.model->round));
    if (!assignment.base_digest.empty()) {
      v1::ModelChange& change = *message->mutable_model_change();
      change.set_digest(assignment.model->change_digest);
      change.set_size_bytes(assignment.model->change_bytes);
      change.set_base_digest(assignment.base_digest);
    }
  }
  if (!message->mutable_plan()->ParseFromString(assignment.plan)) {
    return Internal("the plan of {} is damaged", assignment.run_id);
  }
  return OkStatus();
}

// A long poll: lives until the coordinator has a task, the wait is over, or the caller is gone.
class NextTaskReactor final : public grpc::ServerUnaryReactor {
 public:
  NextTaskReactor(Coordinator& coordinator, const ModelSigner& signer, OpenCaller caller,
                  TimePoint until, v1::NextTaskResponse* response)
      : coordinator_(coordinator), caller_(std::move(caller)) {
    wait_ = coordinator_.WaitForTask(
        caller_.identity.name, until, [this, &signer, response](auto found) {
          Status status = found.status();
          if (found.ok() && found->has_value()) {
            status = FillTask(**found, signer, response->mutable_task());
          }
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
                         .steps = result.steps(),
                         .train_loss = result.train_loss(),
                         .train_seconds = result.train_seconds()}};
  CSL_ASSIGN_OR_RETURN(success.result.evaluation, FromProto(result.evaluation()));
  success.result.class_counts = {result.class_counts().begin(), result.class_counts().end()};
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
  auto caller = gate_.AdmitOpen(*context, "CoordinatorService/NextTask");
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
  return new NextTaskReactor(coordinator_, signer_, *std::move(caller), clock_.Now() + wait,
                             response);
}

grpc::ServerUnaryReactor* CoordinatorService::ReportTask(grpc::CallbackServerContext* context,
                                                         const v1::ReportTaskRequest* request,
                                                         v1::ReportTaskResponse* response) {
  return gate_.Answer(context, kReportTask, [&](const Identity& caller) -> Status {
    CSL_ASSIGN_OR_RETURN(const TaskReport report, ReadReport(*request));
    if (request->has_head()) {
      // A head that is wrong is noted, and the work that was reported counts all the same.
      const Status kept = KeepHead(caller, PeerCertificate(*context), *request);
      gate_.NoteIfRefused(kept, context->peer(), caller.name, kReportTask);
      if (absl::IsResourceExhausted(kept)) return kept;
    }
    CSL_ASSIGN_OR_RETURN(*response->mutable_note(), coordinator_.Report(caller.name, report));
    CSL_ASSIGN_OR_RETURN(*response->mutable_head(), SignHead(trail_.head(), signer_.signer()));
    return OkStatus();
  });
}

// How far a hospital's trail had come: should it be written anew later, it no longer fits this.
Status CoordinatorService::KeepHead(const Identity& caller, const std::string& certificate_pem,
                                    const v1::ReportTaskRequest& request) {
  CSL_ASSIGN_OR_RETURN(const Certificate certificate, Certificate::FromPem(certificate_pem));
  CSL_ASSIGN_OR_RETURN(const TrailHead head, CheckHead(request.head(), certificate));
  return trail_.Append("site_head", {{"site", caller.name},
                                     {"task", request.task_id()},
                                     {"entries", head.entries},
                                     {"head", head.hash},
                                     {"serial", certificate.Serial()},
                                     {"signature", request.head().signature()}});
}

grpc::ServerUnaryReactor* ModelService::ListModels(grpc::CallbackServerContext* context,
                                                   const v1::ListModelsRequest* request,
                                                   v1::ListModelsResponse* response) {
  return gate_.Answer(context, "ModelService/ListModels", [&](const Identity&) -> Status {
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

grpc::ServerUnaryReactor* ModelService::GetManifest(grpc::CallbackServerContext* context,
                                                    const v1::GetManifestRequest* request,
                                                    v1::GetManifestResponse* response) {
  return gate_.Answer(context, "ModelService/GetManifest", [&](const Identity&) -> Status {
    CSL_ASSIGN_OR_RETURN(*response->mutable_manifest(),
                         signer_.ManifestOf(request->run_id(), static_cast<int>(request->round())));
    return OkStatus();
  });
}

grpc::ServerUnaryReactor* ModelService::GetRelease(grpc::CallbackServerContext* context,
                                                   const v1::GetReleaseRequest* request,
                                                   v1::GetReleaseResponse* response) {
  return gate_.Answer(context, "ModelService/GetRelease", [&](const Identity&) -> Status {
    CSL_ASSIGN_OR_RETURN(const auto releases, store_.ListReleases());
    const ReleaseRecord* release = CurrentRelease(releases, request->channel());
    if (release == nullptr) {
      return NotFound("no model is released on the channel '{}'", request->channel());
    }
    CSL_ASSIGN_OR_RETURN(const ModelRecord model,
                         coordinator_.FindModel(release->run_id, release->round));
    *response->mutable_model() = ToProto(release->run_id, model.version);
    CSL_ASSIGN_OR_RETURN(*response->mutable_manifest(),
                         signer_.ManifestOf(release->run_id, release->round, release->channel));
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
