#pragma once

// What a task is done with, from the coordinator into memory.

#include <cstdint>
#include <string>

#include "client/link/coordinator_link.h"
#include "client/link/task_reporter.h"
#include "client/session/task_store.h"
#include "common/base/status.h"
#include "common/model/model_file.h"
#include "consilium/v1/coordinator.pb.h"

namespace consilium {

// The blob of that digest, which it was checked against. Tries until it is there, goes on where a
// process before this one was, and says how far it is. INVALID_ARGUMENT where `digest` is none or
// the size is above kMaxModelBytes; CANCELLED once the task is not wanted any more.
StatusOr<std::string> FetchBlob(CoordinatorLink& link, TaskReporter& reporter,
                                const TaskStore& store, const std::string& digest,
                                std::uint64_t size_bytes);

// A task's global model: from what it changes of the one before, where the store still has that and
// the coordinator offers the change, or else as a whole. Where the plan wants models to travel so,
// the store keeps it for the next round. Errors as above; INVALID_ARGUMENT where it is no model.
StatusOr<Model> FetchModel(CoordinatorLink& link, TaskReporter& reporter, const TaskStore& store,
                           const v1::Task& task);

}  // namespace consilium
