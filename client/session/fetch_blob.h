#pragma once

// What a task is done with, from the coordinator into memory.

#include <cstdint>
#include <string>

#include "client/link/coordinator_link.h"
#include "client/link/task_reporter.h"
#include "client/session/task_store.h"
#include "common/base/status.h"

namespace consilium {

// The blob of that digest, which it was checked against. Tries until it is there, goes on where a
// process before this one was, and says how far it is. INVALID_ARGUMENT where `digest` is none or
// the size is above kMaxModelBytes; CANCELLED once the task is not wanted any more.
StatusOr<std::string> FetchBlob(CoordinatorLink& link, TaskReporter& reporter,
                                const TaskStore& store, const std::string& digest,
                                std::uint64_t size_bytes);

}  // namespace consilium
