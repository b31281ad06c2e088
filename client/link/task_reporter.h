#pragma once

// Says how far the task in hand is, and hears whether its result is still wanted. A task may take
// days: meanwhile it keeps the identity current.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <stop_token>
#include <string>
#include <thread>

#include "client/link/current_identity.h"
#include "common/base/linked_stop.h"
#include "common/base/mutex.h"

namespace consilium {

// Speaks to the coordinator from a thread of its own, from construction to destruction, once an
// interval; an interval of 0: never. What fails is left to the next time: silence does no harm.
// Thread-safe.
class TaskReporter {
 public:
  TaskReporter(CurrentIdentity& identity, const std::string& task_id,
               std::chrono::milliseconds interval, const std::stop_token& stop);

  void Enter(v1::TaskStage stage) { Set(stage, 0, 0); }
  void Advance(std::uint64_t done, std::uint64_t total);

  // Requested when the process is to stop, or the task has ended at the coordinator.
  std::stop_token stop_token() const { return stop_.token(); }
  bool has_ended() const { return has_ended_; }

 private:
  void Set(v1::TaskStage stage, std::uint64_t done, std::uint64_t total);
  void Speak(CurrentIdentity& identity, const std::stop_token& stop);

  Mutex mu_;
  v1::TaskProgress progress_ ABSL_GUARDED_BY(mu_);
  LinkedStop stop_;
  std::atomic<bool> has_ended_{false};
  std::jthread thread_;
};

}  // namespace consilium
