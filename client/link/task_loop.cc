#include "client/link/task_loop.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "client/link/plan_book.h"
#include "common/base/memory.h"

namespace consilium {
namespace {

constexpr std::chrono::seconds kPoll{30};
constexpr std::chrono::milliseconds kMinReportInterval{200};
constexpr std::chrono::milliseconds kMaxReportInterval{60'000};
constexpr std::chrono::minutes kReturnMemoryInterval{1};

// How often the coordinator wants to hear of the task; 0: never.
std::chrono::milliseconds ReportInterval(const v1::Task& task) {
  const std::chrono::milliseconds asked(task.progress_interval_ms());
  if (asked.count() == 0) return asked;
  return std::clamp(asked, kMinReportInterval, kMaxReportInterval);
}

}  // namespace

v1::TaskFailure TaskWorker::FailureOf(const Status& status) const {
  v1::TaskFailure failure;
  failure.set_refused(!refusal_.empty());
  failure.set_reason(failure.refused()
                         ? refusal_
                         : fmt::format("{} failed ({}); the {}'s log says why", stage_,
                                       absl::StatusCodeToString(status.code()), place_));
  return failure;
}

Status TaskWorker::Refuse(const Status& why) {
  refusal_ = std::string(why.message());
  return why;
}

Status TaskLoop::Send(const Outcome& outcome) {
  TaskReporter reporter(link_.identity(), outcome.report.task_id(), std::chrono::milliseconds(0),
                        stop_);
  return Settle(outcome, reporter);
}

Status TaskLoop::Run(std::string in_hand) {
  auto memory_returned = std::chrono::steady_clock::now();
  while (!stop_.stop_requested()) {
    link_.identity().KeepCurrent(SystemClock().Now());
    const auto task = link_.client().NextTask(kPoll, in_hand);
    if (!task.ok()) {
      CSL_RETURN_IF_ERROR(link_.PauseAfter(task.status()));
      continue;
    }
    in_hand.clear();
    const std::string& version = link_.client().coordinator_version();
    if (std::exchange(known_version_, version) != version) {
      spdlog::info("the coordinator is consilium {}", version);
    }
    link_.NoteSuccess();
    if (task->has_value()) CSL_RETURN_IF_ERROR(Handle(**task));
    // After a whole poll without work, as others may need it; and now and then where the tasks come
    // one after the other: what their sizes leave between them would add up over a thousand rounds.
    const auto now = std::chrono::steady_clock::now();
    if (task->has_value() && now - memory_returned < kReturnMemoryInterval) continue;
    memory_returned = now;
    ReturnFreedMemory();
  }
  return OkStatus();
}

// Does a task and reports it, whichever way it ended.
Status TaskLoop::Handle(const v1::Task& task) {
  TaskReporter reporter(link_.identity(), task.task_id(), ReportInterval(task), stop_);
  CSL_RETURN_IF_ERROR(trail_.Append("task", {{"task", task.task_id()},
                                             {"plan", PlanHash(task.plan())},
                                             {"model", task.model().digest()}}));
  auto outcome = worker_.Do(task, reporter);
  if (stop_.stop_requested()) return OkStatus();  // the task stays open; the next start does it
  if (!outcome.ok()) {
    if (reporter.has_ended()) {
      SayAbandoned(task.task_id());
      worker_.Forget();
      return OkStatus();
    }
    CSL_ASSIGN_OR_RETURN(outcome, ToFailure(task, outcome.status()));
  }
  outcome->report.set_task_id(task.task_id());
  return Settle(*outcome, reporter);
}

Status TaskLoop::Settle(const Outcome& outcome, TaskReporter& reporter) {
  CSL_ASSIGN_OR_RETURN(const bool is_over, delivery_.Settle(outcome, reporter));
  if (is_over) worker_.Forget();
  return OkStatus();
}

StatusOr<Outcome> TaskLoop::ToFailure(const v1::Task& task, const Status& status) {
  spdlog::error("{}: {}", task.task_id(), std::string(status.message()));
  Outcome outcome;
  v1::TaskFailure& failure = *outcome.report.mutable_failure();
  failure = worker_.FailureOf(status);
  CSL_RETURN_IF_ERROR(trail_.Append(failure.refused() ? "task_refused" : "task_failed",
                                    {{"task", task.task_id()}, {"reason", failure.reason()}}));
  return outcome;
}

}  // namespace consilium
