#include "common/rpc/channel.h"

#include <grpcpp/create_channel.h>
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

std::shared_ptr<grpc::Channel> ChannelToNowhere() {
  return grpc::CreateChannel("127.0.0.1:1", grpc::InsecureChannelCredentials());
}

TEST(Pause, LastsItsTimeWhileTheFarEndIsAway) {
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_TRUE(Pause(*ChannelToNowhere(), milliseconds(300), {}));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, milliseconds(300));
}

TEST(Pause, EndsWhenStopIsAskedFor) {
  std::stop_source source;
  source.request_stop();
  EXPECT_FALSE(Pause(*ChannelToNowhere(), std::chrono::hours(1), source.get_token()));
}

TEST(Retry, GivesUpAtOnceWhatIsRefused) {
  int attempts = 0;
  const Status status = Retry(*ChannelToNowhere(), {}, [&] {
    ++attempts;
    return attempts == 1 ? Unavailable("away") : PermissionDenied("revoked");
  });
  EXPECT_EQ(attempts, 2);
  EXPECT_TRUE(absl::IsPermissionDenied(status));
}

TEST(IsTransient, RefusalsAreFinal) {
  EXPECT_TRUE(IsTransient(Unavailable("away")));
  EXPECT_FALSE(IsTransient(PermissionDenied("revoked")));
  EXPECT_FALSE(IsTransient(InvalidArgument("wrong")));
  EXPECT_FALSE(IsTransient(OkStatus()));
}

}  // namespace
}  // namespace consilium
