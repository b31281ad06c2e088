#pragma once

// A stop that is also asked for once a piece of work has taken longer than it may.

#include <chrono>
#include <stop_token>

#include "common/base/linked_stop.h"

namespace consilium {

// Not thread-safe.
class TimeLimit {
 public:
  // `most` zero: it may take any time. `taken`: seconds, by processes before this one.
  TimeLimit(std::chrono::seconds most, double taken, const std::stop_token& stop)
      : most_(most), taken_(taken), began_(std::chrono::steady_clock::now()), stop_(stop) {}

  // To be called now and then.
  void Look() {
    const std::chrono::duration<double> since = std::chrono::steady_clock::now() - began_;
    if (most_.count() == 0 || taken_ + since <= most_) return;
    is_over_ = true;
    stop_.Request();
  }
  bool is_over() const { return is_over_; }
  std::stop_token stop_token() const { return stop_.token(); }

 private:
  const std::chrono::seconds most_;
  const std::chrono::duration<double> taken_;
  const std::chrono::steady_clock::time_point began_;
  bool is_over_ = false;
  LinkedStop stop_;
};

}  // namespace consilium
