#pragma once

// What a run's transitions add to the audit trail. Pure.

#include <string>
#include <vector>

#include "common/audit/trail.h"
#include "server/state/run_state.h"

namespace consilium {

// What happened between the two states of a run, in order: tasks that were opened and how they
// ended, updates that were taken or refused, models that were made, the run's own status.
std::vector<AuditEntry> WhatHappened(const RunState& before, const RunState& after);

// The tasks whose result had come, and was taken back in between.
std::vector<TaskState> RefusedAfterDelivery(const RunState& before, const RunState& after);

}  // namespace consilium
