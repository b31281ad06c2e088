#include "common/rpc/channel.h"

#include <gtest/gtest.h>

#include <thread>

namespace consilium {
namespace {

using std::chrono::milliseconds;

TEST(Backoff, DoublesToItsLimitWithinItsJitter) {
  Backoff backoff(milliseconds(100), milliseconds(400), 1);
  for (const int most : {100, 200, 400, 400, 400}) {
    const auto wait = backoff.Next();
    EXPECT_LE(wait, milliseconds(most));
    EXPECT_GE(wait, milliseconds(most / 2));
  }
  backoff.Reset();
  EXPECT_LE(backoff.Next(), milliseconds(100));
}

TEST(SleepFor, EndsWhenStopIsAskedFor) {
  std::stop_source source;
  std::jthread stopper([&] { source.request_stop(); });
  EXPECT_FALSE(SleepFor(std::chrono::hours(1), source.get_token()));
  EXPECT_TRUE(SleepFor(milliseconds(1), std::stop_token()));
}

TEST(IsTransient, RefusalsAreFinal) {
  EXPECT_TRUE(IsTransient(Unavailable("away")));
  EXPECT_FALSE(IsTransient(PermissionDenied("revoked")));
  EXPECT_FALSE(IsTransient(InvalidArgument("wrong")));
  EXPECT_FALSE(IsTransient(OkStatus()));
}

}  // namespace
}  // namespace consilium
