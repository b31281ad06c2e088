#include "client/link/delivery.h"

#include <spdlog/spdlog.h>

namespace consilium {
namespace {

// Whether the coordinator will not have this result, now or later.
bool IsInadmissible(const Status& status) {
  return absl::IsInvalidArgument(status) || absl::IsPermissionDenied(status) ||
         absl::IsNotFound(status);
}

}  // namespace

StatusOr<bool> Delivery::Settle(Outcome outcome, TaskReporter& reporter) {
  const std::string& task_id = outcome.report.task_id();
  auto answer = Deliver(outcome, reporter);
  if (absl::IsCancelled(answer.status()) && reporter.has_ended()) {
    SayAbandoned(task_id);
    return true;
  }
  if (IsInadmissible(answer.status()) && outcome.report.has_result() && !stop_.stop_requested()) {
    // A result that the coordinator will not have: say so, or the task would come again and again.
    spdlog::error("{}: {}", task_id, std::string(answer.status().message()));
    outcome.report.mutable_failure()->set_reason("the coordinator refused the result");
    answer = Report(outcome.report);
  }
  if (stop_.stop_requested()) return false;
  if (!answer.ok()) {
    CSL_RETURN_IF_ERROR(link_.PauseAfter(answer.status()));
    return false;
  }
  if (!answer->note().empty()) spdlog::warn("{}: {}", task_id, answer->note());
  if (!answer->has_head()) return true;  // of a coordinator from before protocol 1.3
  const Status kept = heads_.Keep(answer->head(), task_id, SystemClock().Now());
  if (!kept.ok()) spdlog::error("the coordinator's trail: {}", std::string(kept.message()));
  return true;
}

void SayAbandoned(const std::string& task_id) {
  spdlog::warn("{}: stopped: the coordinator has ended the task", task_id);
}

// The update, then the report; both again where the coordinator has lost the update.
StatusOr<v1::ReportTaskResponse> Delivery::Deliver(const Outcome& outcome, TaskReporter& reporter) {
  while (true) {
    auto answer = SendOnce(outcome, reporter);
    if (!absl::IsDataLoss(answer.status()) || stop_.stop_requested()) return answer;
    (void)link_.PauseAfter(answer.status());
  }
}

StatusOr<v1::ReportTaskResponse> Delivery::SendOnce(const Outcome& outcome,
                                                    TaskReporter& reporter) {
  const auto& [report, update, norm] = outcome;
  if (!update.empty()) {
    const std::string& digest = report.result().blob_digest();
    CSL_RETURN_IF_ERROR(NoteSending(trail_, {.time = {},
                                             .task_id = report.task_id(),
                                             .digest = digest,
                                             .bytes = update.size(),
                                             .train_examples = report.result().train_examples(),
                                             .norm = norm}));
    const auto upload = [&](const TransferCallback& on_chunk) {
      return link_.client().Upload(update, digest, report.task_id(), reporter.stop_token(),
                                   on_chunk, !link_.LimitsRate());
    };
    CSL_RETURN_IF_ERROR(link_.Transfer(v1::TASK_STAGE_SENDING_UPDATE, reporter, upload));
    spdlog::info("{}: sent {} bytes, sha256 {}", report.task_id(), update.size(), digest);
  }
  return Report(report);
}

// With the head of this hospital's trail as it is now.
StatusOr<v1::ReportTaskResponse> Delivery::Report(v1::ReportTaskRequest report) {
  CSL_ASSIGN_OR_RETURN(*report.mutable_head(), link_.identity().SignHead(trail_.head()));
  return link_.Persist([&] { return link_.client().ReportTask(report); });
}

}  // namespace consilium
