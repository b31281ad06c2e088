#pragma once

// Tells the time of day, to the millisecond; the tests have one that moves only when told.

#include <chrono>
#include <cstdint>

namespace consilium {

using TimePoint = std::chrono::time_point<std::chrono::system_clock, std::chrono::milliseconds>;

class Clock {
 public:
  virtual ~Clock() = default;
  // Thread-safe.
  virtual TimePoint Now() const = 0;
};

class SystemClock final : public Clock {
 public:
  TimePoint Now() const override {
    return std::chrono::time_point_cast<std::chrono::milliseconds>(
        std::chrono::system_clock::now());
  }
};

// Milliseconds since 1970, as the database and the wire keep a time.
inline std::int64_t ToUnixMillis(TimePoint time) { return time.time_since_epoch().count(); }
inline TimePoint FromUnixMillis(std::int64_t millis) {
  return TimePoint(std::chrono::milliseconds(millis));
}

}  // namespace consilium
