#pragma once

#include <atomic>

#include "common/base/clock.h"

namespace consilium::testing {

// Stands still until it is told to move.
class FakeClock final : public Clock {
 public:
  TimePoint Now() const override { return FromUnixMillis(now_); }
  void Advance(std::chrono::milliseconds time) { now_ += time.count(); }

 private:
  std::atomic<std::int64_t> now_ = 1'800'000'000'000;
};

// Runs as the system's does, and can be put forward.
class ShiftedClock final : public Clock {
 public:
  TimePoint Now() const override {
    return SystemClock().Now() + std::chrono::milliseconds(shift_.load());
  }
  void Advance(std::chrono::milliseconds time) { shift_ += time.count(); }

 private:
  std::atomic<std::int64_t> shift_ = 0;
};

}  // namespace consilium::testing
