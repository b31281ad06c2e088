#pragma once

// The loop of whoever does a coordinator's tasks, one after the other: a hospital's agent, or a
// region, whose hospitals do them.

#include <stop_token>
#include <string>
#include <string_view>

#include "client/link/coordinator_link.h"
#include "client/link/delivery.h"
#include "client/link/task_reporter.h"
#include "common/audit/trail.h"
#include "common/crypto/certificate.h"
#include "consilium/v1/coordinator.pb.h"

namespace consilium {

class TaskWorker {
 public:
  // `place`: whose log says why something failed, "hospital".
  explicit TaskWorker(std::string_view place) : place_(place) {}
  virtual ~TaskWorker() = default;

  // Does the task; ends early where the reporter's stop is requested. What the outcome refers to
  // stays until the next task. The report's task id is filled in by the loop.
  virtual StatusOr<Outcome> Perform(const v1::Task& task, TaskReporter& reporter) = 0;
  // The task is over: nothing of it is needed any more.
  virtual void Forget() = 0;

  // Perform, of a task that nothing was refused of yet.
  StatusOr<Outcome> Do(const v1::Task& task, TaskReporter& reporter) {
    refusal_.clear();
    return Perform(task, reporter);
  }
  // What the coordinator hears of the error that Do gave: a refusal's reason, or the
  // stage and the kind of error. The message itself stays here: it may name files, and a file's
  // name may name a patient.
  v1::TaskFailure FailureOf(const Status& status) const;

 protected:
  // This place will not do the task, and says why: of the plan and its policy alone.
  Status Refuse(const Status& why);

  std::string_view stage_;  // of the task in hand

 private:
  const std::string_view place_;
  std::string refusal_;  // why this place will not do the task; empty: it does
};

// Used by one thread. Outlived by what it is given.
class TaskLoop {
 public:
  TaskLoop(CoordinatorLink& link, AuditTrail& trail, const Certificate& root, TaskWorker& worker,
           const std::stop_token& stop)
      : link_(link),
        trail_(trail),
        worker_(worker),
        delivery_(link, trail, root, stop),
        stop_(stop) {}

  // Sends what a process before this one had finished.
  Status Send(const Outcome& outcome);
  // Until `stop`. `in_hand`: the task that a process before this one was at, or empty. While the
  // coordinator is away it is asked again, with growing pauses, without limit. An error means that
  // going on makes no sense.
  Status Run(std::string in_hand);

 private:
  Status Handle(const v1::Task& task);
  Status Settle(const Outcome& outcome, TaskReporter& reporter);
  StatusOr<Outcome> ToFailure(const v1::Task& task, const Status& status);

  CoordinatorLink& link_;
  AuditTrail& trail_;
  TaskWorker& worker_;
  Delivery delivery_;
  const std::stop_token stop_;
  std::string known_version_;  // of the coordinator
};

}  // namespace consilium
