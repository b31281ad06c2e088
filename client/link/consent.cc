#include "client/link/consent.h"

#include <spdlog/spdlog.h>

#include "client/link/policy.h"
#include "common/rpc/channel.h"

namespace consilium {
namespace {

constexpr std::chrono::seconds kDecisionInterval{1};  // between two looks for one on a plan

}  // namespace

Status Consent::Ask(const v1::Task& task, TaskReporter& reporter) const {
  CSL_RETURN_IF_ERROR(CheckPolicy(site_, task));
  CSL_ASSIGN_OR_RETURN(PlanEntry plan,
                       plans_.Note(task.plan(), task.run_id(), SystemClock().Now()));
  if (!site_.policy().approve_plans()) return OkStatus();
  if (plan.decision == PlanDecision::kPending) {
    spdlog::warn("{}: the plan {} awaits approval: consilium-client approve", task.task_id(),
                 plan.hash);
    reporter.Enter(v1::TASK_STAGE_AWAITING_APPROVAL);
  }
  while (plan.decision == PlanDecision::kPending) {
    if (!SleepFor(kDecisionInterval, reporter.stop_token())) return Cancelled("stopped");
    CSL_ASSIGN_OR_RETURN(plan, plans_.Find(plan.hash));
  }
  if (plan.decision == PlanDecision::kApproved) return OkStatus();
  return PermissionDenied("this hospital rejected the plan");
}

bool IsDecision(const Status& status) {
  return absl::IsPermissionDenied(status) || absl::IsInvalidArgument(status);
}

}  // namespace consilium
