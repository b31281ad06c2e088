#include "server/rpc/admin_service.h"

#include <spdlog/spdlog.h>

#include "common/config/plan.h"
#include "common/wire/convert.h"
#include "server/rpc/coordinator_service.h"

namespace consilium {
namespace {

// Of the audit trail in one answer.
constexpr std::size_t kMaxAuditBytes = 4 << 20;

void FillSummary(const RunState& run, v1::RunSummary* message) {
  v1::RunPlan plan;
  if (plan.ParseFromString(run.plan)) message->set_name(plan.name());
  message->set_run_id(run.id);
  message->set_status(std::string(RunStatusName(run.status)));
  message->set_reason(run.reason);
  message->set_round(static_cast<std::uint32_t>(std::min(run.round, run.config.rounds)));
  message->set_rounds(static_cast<std::uint32_t>(run.config.rounds));
  message->set_created_unix_ms(ToUnixMillis(run.created));
  message->set_ended_unix_ms(ToUnixMillis(run.ended));
  message->set_attempt(static_cast<std::uint32_t>(run.attempt));
  message->set_pausing(run.pausing);
  if (IsTimed(run)) message->set_deadline_unix_ms(ToUnixMillis(run.deadline));
}

void FillTask(const TaskState& task, v1::TaskSummary* message) {
  message->set_task_id(task.id);
  message->set_site(task.site);
  message->set_round(static_cast<std::uint32_t>(task.round));
  message->set_kind(std::string(TaskKindName(task.kind)));
  message->set_status(std::string(TaskStatusName(task.status)));
  message->set_reason(task.reason);
  message->set_update_digest(task.result.blob_digest);
  message->set_update_bytes(task.result.blob_bytes);
  message->set_train_examples(task.result.train_examples);
  message->set_train_loss(task.result.train_loss);
  message->set_train_seconds(task.result.train_seconds);
}

void FillOutlook(const TaskOutlook& outlook, v1::TaskSummary* message) {
  message->set_stage(std::string(TaskStageName(outlook.progress.stage)));
  message->set_stage_done(outlook.progress.done);
  message->set_stage_total(outlook.progress.total);
  message->set_heard_unix_ms(ToUnixMillis(outlook.heard));
  if (outlook.ends) message->set_ends_unix_ms(ToUnixMillis(*outlook.ends));
}

// When the last of the round's open tasks ends; 0 while that is not known of each.
std::int64_t EndOfRound(const v1::GetRunResponse& run) {
  std::int64_t end = 0;
  for (const v1::TaskSummary& task : run.tasks()) {
    if (task.status() != TaskStatusName(TaskStatus::kOpen)) continue;
    if (task.ends_unix_ms() == 0) return 0;
    end = std::max(end, task.ends_unix_ms());
  }
  return std::min(end, run.summary().deadline_unix_ms());
}

}  // namespace

grpc::ServerUnaryReactor* AdminService::Invite(grpc::CallbackServerContext* context,
                                               const v1::InviteRequest* request,
                                               v1::InviteResponse* response) {
  return gate_.Answer(context, "AdminService/Invite", [&](const Identity& admin) -> Status {
    const std::string role = request->role().empty() ? "hospital" : request->role();
    CSL_ASSIGN_OR_RETURN(const Role invited, ParseRole(role));
    CSL_ASSIGN_OR_RETURN(const Invitation invitation,
                         registry_.Invite(request->site(), invited, admin.name));
    spdlog::info("{} invited {} '{}'", admin.name, role, request->site());
    response->set_token(invitation.token);
    response->set_ca_sha256(registry_.authority().root().Sha256());
    response->set_enrol_endpoint(enrol_endpoint_);
    response->set_expires_unix_ms(ToUnixMillis(invitation.expires));
    return OkStatus();
  });
}

grpc::ServerUnaryReactor* AdminService::ListSites(grpc::CallbackServerContext* context,
                                                  const v1::ListSitesRequest* /*request*/,
                                                  v1::ListSitesResponse* response) {
  return gate_.Answer(context, "AdminService/ListSites", [&](const Identity& /*caller*/) -> Status {
    CSL_ASSIGN_OR_RETURN(const auto members, registry_.ListMembers());
    for (const MemberRecord& member : members) {
      v1::Site& message = *response->add_sites();
      message.set_name(member.name);
      message.set_role(std::string(RoleName(member.role)));
      message.set_status(member.revoked ? "revoked" : "active");
      message.set_joined_unix_ms(ToUnixMillis(member.joined));
      message.set_last_seen_unix_ms(ToUnixMillis(member.last_seen));
      message.set_certificate_expires_unix_ms(ToUnixMillis(member.certificate_expires));
    }
    return OkStatus();
  });
}

grpc::ServerUnaryReactor* AdminService::RevokeSite(grpc::CallbackServerContext* context,
                                                   const v1::RevokeSiteRequest* request,
                                                   v1::RevokeSiteResponse* /*response*/) {
  return gate_.Answer(context, "AdminService/RevokeSite", [&](const Identity& admin) -> Status {
    CSL_RETURN_IF_ERROR(registry_.Revoke(request->site(), admin.name));
    open_calls_.Cut(request->site());
    CSL_RETURN_IF_ERROR(coordinator_.EndTasksOf(request->site()));
    spdlog::info("{} revoked site '{}'", admin.name, request->site());
    return OkStatus();
  });
}

grpc::ServerUnaryReactor* AdminService::SubmitRun(grpc::CallbackServerContext* context,
                                                  const v1::SubmitRunRequest* request,
                                                  v1::SubmitRunResponse* response) {
  return gate_.Answer(context, "AdminService/SubmitRun", [&](const Identity& admin) -> Status {
    CSL_RETURN_IF_ERROR(CheckPlan(request->plan()));
    CSL_ASSIGN_OR_RETURN(*response->mutable_run_id(),
                         coordinator_.Submit(request->plan().SerializeAsString(),
                                             request->initial_model_digest(), admin.name));
    spdlog::info("{} submitted '{}' as {}", admin.name, request->plan().name(), response->run_id());
    return OkStatus();
  });
}

grpc::ServerUnaryReactor* AdminService::ListRuns(grpc::CallbackServerContext* context,
                                                 const v1::ListRunsRequest* /*request*/,
                                                 v1::ListRunsResponse* response) {
  return gate_.Answer(context, "AdminService/ListRuns", [&](const Identity& /*caller*/) -> Status {
    for (const RunState& run : coordinator_.Runs()) FillSummary(run, response->add_runs());
    return OkStatus();
  });
}

grpc::ServerUnaryReactor* AdminService::GetRun(grpc::CallbackServerContext* context,
                                               const v1::GetRunRequest* request,
                                               v1::GetRunResponse* response) {
  return gate_.Answer(context, "AdminService/GetRun", [&](const Identity& /*caller*/) -> Status {
    CSL_ASSIGN_OR_RETURN(const RunState run, coordinator_.FindRun(request->run_id()));
    CSL_ASSIGN_OR_RETURN(const auto tasks,
                         store_.LoadTasks(run.id, static_cast<int>(request->from_round())));
    const auto outlooks = coordinator_.Outlooks(run.id);
    FillSummary(run, response->mutable_summary());
    response->set_now_unix_ms(ToUnixMillis(SystemClock().Now()));
    response->mutable_plan()->ParseFromString(run.plan);
    for (const TaskState& task : tasks) {
      v1::TaskSummary* summary = response->add_tasks();
      FillTask(task, summary);
      const auto outlook = outlooks.find(task.id);
      FillOutlook(outlook == outlooks.end() ? TaskOutlook{} : outlook->second, summary);
      if (task.result.evaluation.classes() == 0) continue;
      v1::ModelEvaluation& evaluation = *response->add_evaluations();
      // A round's tasks score the model that the round before made.
      evaluation.set_round(static_cast<std::uint32_t>(task.round - 1));
      evaluation.set_site(task.site);
      *evaluation.mutable_evaluation() = ToProto(task.result.evaluation);
    }
    response->mutable_summary()->set_round_ends_unix_ms(EndOfRound(*response));
    for (const ModelVersion& model : run.models) {
      *response->add_models() = ToProto(run.id, model);
    }
    return OkStatus();
  });
}

grpc::ServerUnaryReactor* AdminService::CancelRun(grpc::CallbackServerContext* context,
                                                  const v1::CancelRunRequest* request,
                                                  v1::CancelRunResponse* /*response*/) {
  return gate_.Answer(context, "AdminService/CancelRun", [&](const Identity& admin) -> Status {
    CSL_RETURN_IF_ERROR(NoteRequest("cancel_requested", request->run_id(), admin));
    CSL_RETURN_IF_ERROR(coordinator_.Cancel(request->run_id()));
    spdlog::info("{} cancelled {}", admin.name, request->run_id());
    return OkStatus();
  });
}

grpc::ServerUnaryReactor* AdminService::PauseRun(grpc::CallbackServerContext* context,
                                                 const v1::PauseRunRequest* request,
                                                 v1::PauseRunResponse* /*response*/) {
  return gate_.Answer(context, "AdminService/PauseRun", [&](const Identity& admin) -> Status {
    CSL_RETURN_IF_ERROR(NoteRequest("pause_requested", request->run_id(), admin));
    CSL_RETURN_IF_ERROR(coordinator_.Pause(request->run_id()));
    spdlog::info("{} asked {} to pause", admin.name, request->run_id());
    return OkStatus();
  });
}

grpc::ServerUnaryReactor* AdminService::ResumeRun(grpc::CallbackServerContext* context,
                                                  const v1::ResumeRunRequest* request,
                                                  v1::ResumeRunResponse* /*response*/) {
  return gate_.Answer(context, "AdminService/ResumeRun", [&](const Identity& admin) -> Status {
    CSL_RETURN_IF_ERROR(NoteRequest("resume_requested", request->run_id(), admin));
    CSL_RETURN_IF_ERROR(coordinator_.Resume(request->run_id()));
    spdlog::info("{} resumed {}", admin.name, request->run_id());
    return OkStatus();
  });
}

Status AdminService::NoteRequest(std::string_view event, const std::string& run_id,
                                 const Identity& admin) {
  CSL_RETURN_IF_ERROR(coordinator_.FindRun(run_id));
  return trail_.Append(event, {{"run", run_id}, {"by", admin.name}});
}

grpc::ServerUnaryReactor* AdminService::ReleaseModel(grpc::CallbackServerContext* context,
                                                     const v1::ReleaseModelRequest* request,
                                                     v1::ReleaseModelResponse* /*response*/) {
  return gate_.Answer(context, "AdminService/ReleaseModel", [&](const Identity& admin) -> Status {
    CSL_RETURN_IF_ERROR(CheckName("channel", request->channel()));
    const auto round = static_cast<int>(request->round());
    CSL_ASSIGN_OR_RETURN(const ModelRecord model, coordinator_.FindModel(request->run_id(), round));
    CSL_RETURN_IF_ERROR(trail_.Append("released", {{"channel", request->channel()},
                                                   {"run", request->run_id()},
                                                   {"round", round},
                                                   {"digest", model.version.digest},
                                                   {"by", admin.name}}));
    spdlog::info("{} released {}@{} on '{}'", admin.name, request->run_id(), round,
                 request->channel());
    return store_.AddRelease({.channel = request->channel(),
                              .run_id = request->run_id(),
                              .round = round,
                              .digest = model.version.digest,
                              .released_by = admin.name,
                              .released = SystemClock().Now(),
                              .withdrawn_by = {}});
  });
}

grpc::ServerUnaryReactor* AdminService::WithdrawModel(grpc::CallbackServerContext* context,
                                                      const v1::WithdrawModelRequest* request,
                                                      v1::WithdrawModelResponse* /*response*/) {
  return gate_.Answer(context, "AdminService/WithdrawModel", [&](const Identity& admin) -> Status {
    const auto round = static_cast<int>(request->round());
    CSL_RETURN_IF_ERROR(trail_.Append("withdrawn", {{"channel", request->channel()},
                                                    {"run", request->run_id()},
                                                    {"round", round},
                                                    {"by", admin.name}}));
    CSL_RETURN_IF_ERROR(store_.WithdrawRelease({.channel = request->channel(),
                                                .run_id = request->run_id(),
                                                .round = round,
                                                .digest = {},
                                                .released_by = {},
                                                .withdrawn_by = admin.name,
                                                .withdrawn = SystemClock().Now()}));
    spdlog::info("{} withdrew {}@{} from '{}'", admin.name, request->run_id(), round,
                 request->channel());
    return OkStatus();
  });
}

grpc::ServerUnaryReactor* AdminService::ListReleases(grpc::CallbackServerContext* context,
                                                     const v1::ListReleasesRequest* /*request*/,
                                                     v1::ListReleasesResponse* response) {
  return gate_.Answer(context, "AdminService/ListReleases", [&](const Identity&) -> Status {
    CSL_ASSIGN_OR_RETURN(const auto releases, store_.ListReleases());
    for (const ReleaseRecord& release : releases) {
      v1::Release& message = *response->add_releases();
      message.set_channel(release.channel);
      message.mutable_model()->set_run_id(release.run_id);
      message.mutable_model()->set_round(static_cast<std::uint32_t>(release.round));
      message.mutable_model()->set_digest(release.digest);
      message.set_released_by(release.released_by);
      message.set_released_unix_ms(ToUnixMillis(release.released));
      message.set_withdrawn_by(release.withdrawn_by);
      message.set_withdrawn_unix_ms(ToUnixMillis(release.withdrawn));
    }
    return OkStatus();
  });
}

grpc::ServerUnaryReactor* AdminService::ReadAudit(grpc::CallbackServerContext* context,
                                                  const v1::ReadAuditRequest* request,
                                                  v1::ReadAuditResponse* response) {
  return gate_.Answer(context, "AdminService/ReadAudit", [&](const Identity&) -> Status {
    CSL_ASSIGN_OR_RETURN(const auto lines,
                         ReadTrailLines(trail_file_, request->after_entry(), kMaxAuditBytes));
    response->mutable_lines()->Add(lines.begin(), lines.end());
    return OkStatus();
  });
}

}  // namespace consilium
