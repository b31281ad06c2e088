#include "client/link/transfer_limits.h"

#include <gmock/gmock.h>

#include "common/base/clock.h"
#include "tests/testing/status_matchers.h"

namespace consilium {
namespace {

using std::chrono::milliseconds;
using testing::IsOk;
using testing::StatusIs;

constexpr std::uint64_t kHours = 3'600'000'000;  // bytes: at 8 Mbit/s they take an hour

v1::SitePolicy MegabytesASecond() {
  v1::SitePolicy policy;
  policy.set_max_megabits(8);
  return policy;
}

class Stopwatch {
 public:
  milliseconds elapsed() const {
    return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - began_);
  }

 private:
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

TEST(TransferRate, HoldsATransferDown) {
  TransferRate rate(MegabytesASecond());
  const Stopwatch watch;
  for (std::uint64_t done = 0; done <= 100'000; done += 20'000) rate.Wait(done, {});
  EXPECT_GE(watch.elapsed(), milliseconds(95));
}

TEST(TransferRate, WhatAnAttemptBeforeHadMovedCostsNothing) {
  TransferRate rate(MegabytesASecond());
  const Stopwatch watch;
  rate.Wait(kHours, {});
  rate.Wait(kHours + 1000, {});
  rate.Wait(0, {});  // begun anew: what is done has gone down
  rate.Wait(1000, {});
  EXPECT_LT(watch.elapsed(), std::chrono::minutes(1));
}

TEST(TransferRate, StopEndsTheWait) {
  TransferRate rate(MegabytesASecond());
  std::stop_source stop;
  rate.Wait(0, stop.get_token());
  stop.request_stop();
  const Stopwatch watch;
  rate.Wait(kHours, stop.get_token());
  EXPECT_LT(watch.elapsed(), std::chrono::minutes(1));
}

TEST(TransferRate, IsNoneWhereThePolicyNamesNone) {
  TransferRate rate(v1::SitePolicy{});
  const Stopwatch watch;
  rate.Wait(0, {});
  rate.Wait(kHours, {});
  EXPECT_LT(watch.elapsed(), std::chrono::minutes(1));
}

TEST(AwaitTransferHours, IsOverAtOnceWithinThem) {
  v1::SitePolicy policy;
  EXPECT_THAT(AwaitTransferHours(policy, {}), IsOk());
  policy.add_transfer_hours("00:00-12:00");
  policy.add_transfer_hours("12:00-00:00");
  EXPECT_THAT(AwaitTransferHours(policy, {}), IsOk());
}

TEST(AwaitTransferHours, EndsWithTheStop) {
  const auto minutes =
      std::chrono::duration_cast<std::chrono::minutes>(SystemClock().Now().time_since_epoch())
          .count() %
      60;
  // Seven minutes from now at the earliest, in whichever zone.
  v1::SitePolicy policy;
  const auto other = (minutes + 7) % 59;
  policy.add_transfer_hours(fmt::format("03:{:02}-03:{:02}", other, other + 1));
  std::stop_source stop;
  stop.request_stop();
  EXPECT_THAT(AwaitTransferHours(policy, stop.get_token()), StatusIs(absl::StatusCode::kCancelled));
}

}  // namespace
}  // namespace consilium
