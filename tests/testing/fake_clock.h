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

}  // namespace consilium::testing
