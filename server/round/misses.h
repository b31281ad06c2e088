#pragma once

// Sites that a round goes on without, and how that is said. Pure.

#include <map>
#include <string>

#include "server/state/run_state.h"

namespace consilium {

// The current round's last task of each site that was asked.
std::map<std::string, TaskState> TasksBySite(const RunState& run);

// Of a round's tasks: "b: the deadline passed; c: out of memory".
std::string WhoIsMissing(const std::map<std::string, TaskState>& tasks);

// Writes down what the run must answer for at its end: who was asked in the current round and did
// not deliver, and whom the plan names but nobody could ask.
void NoteMisses(RunState& run, const std::map<std::string, TaskState>& tasks);
// Takes back what was written down of the current round, which goes on.
void ForgetMisses(RunState& run);

// "b missed rounds 3-5 and the final evaluation; c missed round 2".
std::string DescribeMisses(const RunState& run);

}  // namespace consilium
