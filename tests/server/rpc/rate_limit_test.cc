#include "server/rpc/rate_limit.h"

#include <gmock/gmock.h>

namespace consilium {
namespace {

TEST(RateLimitTest, GivesABurstThenASteadyRate) {
  RateLimit limit(/*per_second=*/2, /*burst=*/3);
  TimePoint now = FromUnixMillis(1'000'000);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limit.Take("north", now));
  EXPECT_FALSE(limit.Take("north", now));
  EXPECT_TRUE(limit.Take("south", now));  // has a bucket of its own
  now += std::chrono::milliseconds(500);
  EXPECT_TRUE(limit.Take("north", now));
  EXPECT_FALSE(limit.Take("north", now));
  now += std::chrono::hours(1);  // never more than the burst
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limit.Take("north", now));
  EXPECT_FALSE(limit.Take("north", now));
}

TEST(RateLimitTest, ForgetsWhoHasNotCome) {
  RateLimit limit(/*per_second=*/1, /*burst=*/2);
  TimePoint now = FromUnixMillis(1'000'000);
  for (int i = 0; i < 500; ++i) limit.Take(std::to_string(i), now);
  EXPECT_EQ(limit.size(), 500U);
  limit.Take("north", now + std::chrono::seconds(5));
  EXPECT_EQ(limit.size(), 1U);
}

TEST(RateLimitTest, CrowdTakesBoundedMemory) {
  RateLimit limit(/*per_second=*/1, /*burst=*/2);
  const TimePoint now = FromUnixMillis(1'000'000);
  for (int i = 0; i < 50'000; ++i) limit.Take(std::to_string(i), now);
  EXPECT_LE(limit.size(), 10'000U);
}

TEST(RateLimitTest, ClockThatIsSetBackShutsNobodyOut) {
  RateLimit limit(/*per_second=*/1, /*burst=*/1);
  const TimePoint now = FromUnixMillis(10'000'000);
  EXPECT_TRUE(limit.Take("north", now));
  EXPECT_FALSE(limit.Take("north", now - std::chrono::hours(1)));
  EXPECT_TRUE(limit.Take("north", now - std::chrono::hours(1) + std::chrono::seconds(1)));
}

}  // namespace
}  // namespace consilium
