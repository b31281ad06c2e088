#pragma once

#include <algorithm>
#include <chrono>
#include <optional>

#include "common/base/mutex.h"

namespace consilium {

// How far away the far end is, as short calls tell: by the quickest of them, since the others were
// slow for other reasons. Thread-safe.
class RoundTrips {
 public:
  using Time = std::chrono::steady_clock::duration;

  // A call took that long.
  void Note(Time taken) {
    MutexLock lock(mu_);
    ++calls_;
    shortest_ = std::min(shortest_, taken);
  }
  // None before so many have been made: a busy far end is slow to answer one or two.
  static constexpr int kEnough = 8;
  std::optional<Time> Shortest() const {
    MutexLock lock(mu_);
    if (calls_ < kEnough) return std::nullopt;
    return shortest_;
  }

 private:
  mutable Mutex mu_;
  int calls_ ABSL_GUARDED_BY(mu_) = 0;
  Time shortest_ ABSL_GUARDED_BY(mu_) = Time::max();
};

}  // namespace consilium
