#pragma once

// What a task came to, brought to the coordinator.

#include <span>
#include <stop_token>
#include <string>

#include "client/link/coordinator_link.h"
#include "client/link/site_trail.h"
#include "client/link/task_reporter.h"
#include "common/audit/trail.h"
#include "common/crypto/certificate.h"
#include "consilium/v1/coordinator.pb.h"

namespace consilium {

// A result or a failure of a task.
struct Outcome {
  v1::ReportTaskRequest report;
  std::span<const std::byte> update;  // the file that a result names by its digest; empty: none
  double update_norm = 0;
};

// Used by one thread. Outlived by what it is given.
class Delivery {
 public:
  Delivery(CoordinatorLink& link, AuditTrail& trail, const Certificate& root,
           const std::stop_token& stop)
      : link_(link), trail_(trail), heads_(trail, root), stop_(stop) {}

  // Sends the update and the report until the coordinator has answered, one way or the other, or
  // the process is to stop. What leaves stands in the trail before its first byte does. Whether the
  // task is over: nothing of it is needed any more. An error means that going on makes no sense.
  StatusOr<bool> Settle(Outcome outcome, TaskReporter& reporter);

 private:
  StatusOr<v1::ReportTaskResponse> Deliver(const Outcome& outcome, TaskReporter& reporter);
  StatusOr<v1::ReportTaskResponse> SendOnce(const Outcome& outcome, TaskReporter& reporter);
  StatusOr<v1::ReportTaskResponse> Report(v1::ReportTaskRequest report);

  CoordinatorLink& link_;
  AuditTrail& trail_;
  CoordinatorHeads heads_;
  const std::stop_token stop_;
};

// Nothing that comes of the task is wanted any more.
void SayAbandoned(const std::string& task_id);

}  // namespace consilium
