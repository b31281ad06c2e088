#pragma once

// How often somebody may do something: a bucket of tokens for each, which fills at a steady rate.
// In memory, and bounded: whoever has not come for as long as a bucket takes to fill is forgotten.

#include <cstddef>
#include <map>
#include <string>

#include "common/base/clock.h"

namespace consilium {

// Not thread-safe.
class RateLimit {
 public:
  // `burst` at once, and `per_second` in the long run.
  RateLimit(double per_second, double burst) : per_second_(per_second), burst_(burst) {}

  // Whether `who` may now; takes a token if so. Time must not run backwards by more than it
  // matters.
  bool Take(const std::string& who, TimePoint now);

  std::size_t size() const { return buckets_.size(); }

 private:
  struct Bucket {
    double tokens = 0;
    TimePoint filled;
  };
  double TokensOf(const Bucket& bucket, TimePoint now) const;
  void Forget(TimePoint now);

  const double per_second_;
  const double burst_;
  std::map<std::string, Bucket> buckets_;
  TimePoint forgot_;
};

}  // namespace consilium
