#pragma once

// Questions about a run that the coordinator answers its callers by: which task is a site's, and
// what an update that comes late may still count for. Pure.

#include <map>
#include <string>

#include "server/state/run_state.h"

namespace consilium {

// The site's open task; null where it has none. A site has at most one in a run.
const TaskState* OpenTaskOf(const RunState& run, const std::string& site);

// Whether the site's result for the task's round has been counted, in whichever attempt.
bool IsDelivered(const RunState& run, const TaskState& task);

// The task's round was closed, and the one that its update may count for is not open yet.
bool IsBetweenRounds(const RunState& run, const TaskState& task);

// The open task that a result of a missed one may count for: the same round's next attempt, or by
// the plan's leave the next round's. Null where there is none.
const TaskState* SuccessorOf(const RunState& run, const TaskState& task);

// Whether a missed task's result may still come to count: its round is still open, or it has a
// successor, or will have one.
bool MayCountYet(const RunState& run, const TaskState& task);

// The global model of a round; null where there is none.
const ModelVersion* ModelOfRound(const RunState& run, int round);
bool HasModel(const RunState& run, const std::string& digest);

}  // namespace consilium
