#pragma once

// A mutex that both Clang's thread-safety analysis and ThreadSanitizer understand.
//
// Not absl::Mutex: Debian's libabsl is built without TSan, which then reports every access under an
// absl::Mutex as a race.

#include <condition_variable>
#include <mutex>

#include "absl/base/thread_annotations.h"

namespace consilium {

class ABSL_LOCKABLE Mutex {
 public:
  void lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mu_.lock(); }
  void unlock() ABSL_UNLOCK_FUNCTION() { mu_.unlock(); }
  // Tells the analysis, inside a lambda, what its caller holds.
  void AssertHeld() const ABSL_ASSERT_EXCLUSIVE_LOCK() {}

 private:
  std::mutex mu_;
};

// Holds a Mutex for as long as it lives.
class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex& mu) ABSL_EXCLUSIVE_LOCK_FUNCTION(mu) : mu_(mu) { mu_.lock(); }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mu_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mu_;
};

// Waits on a Mutex that the caller holds: while (!ready) cv.wait(mu);
using CondVar = std::condition_variable_any;

}  // namespace consilium
