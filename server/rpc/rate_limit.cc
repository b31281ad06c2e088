#include "server/rpc/rate_limit.h"

#include <algorithm>

namespace consilium {
namespace {

// So many are looked through once a second at the most.
constexpr std::size_t kMaxBuckets = 10'000;

}  // namespace

double RateLimit::TokensOf(const Bucket& bucket, TimePoint now) const {
  const std::chrono::duration<double> passed = now - bucket.filled;
  return std::min(burst_, bucket.tokens + std::max(0.0, passed.count()) * per_second_);
}

void RateLimit::Forget(TimePoint now) {
  forgot_ = now;
  std::erase_if(buckets_, [&](const auto& entry) { return TokensOf(entry.second, now) >= burst_; });
}

bool RateLimit::Take(const std::string& who, TimePoint now) {
  if (now - forgot_ >= std::chrono::seconds(1) || now < forgot_) Forget(now);
  auto found = buckets_.find(who);
  if (found == buckets_.end()) {
    if (buckets_.size() >= kMaxBuckets) return false;  // a crowd: nobody new for now
    found = buckets_.emplace(who, Bucket{burst_, now}).first;
  }
  Bucket& bucket = found->second;
  bucket = {TokensOf(bucket, now), now};
  if (bucket.tokens < 1) return false;
  bucket.tokens -= 1;
  return true;
}

}  // namespace consilium
