#pragma once

// A channel to a coordinator, and how patiently to use it.

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/security/credentials.h>

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "common/base/clock.h"
#include "common/base/random.h"
#include "common/base/status.h"

namespace consilium {

// Keeps a quiet connection alive through proxies and notices a dead one within about a minute.
std::shared_ptr<grpc::Channel> MakeChannel(
    const std::string& endpoint, const std::shared_ptr<grpc::ChannelCredentials>& credentials);

// One call: its deadline, its end when `stop` is asked for, and the version of this build, which it
// announces. Lives as long as the call.
class CallContext {
 public:
  CallContext(std::chrono::milliseconds timeout, const std::stop_token& stop);
  grpc::ClientContext* get() { return &context_; }
  // Once the call is over: "0.3.0, protocol 1.2", as the far end says; empty where it does not.
  std::string PeerVersion() const;
  // What the far end's clock said when it answered.
  std::optional<TimePoint> PeerTime() const;

 private:
  struct Cancel {
    grpc::ClientContext* context;
    void operator()() const { context->TryCancel(); }
  };
  grpc::ClientContext context_;
  std::stop_callback<Cancel> on_stop_;
};

// Waits between attempts: doubling from `first` to `most`, each drawn from its upper half at random
// so that hospitals cut off together do not come back together.
class Backoff {
 public:
  Backoff(std::chrono::milliseconds first, std::chrono::milliseconds most, std::uint64_t seed)
      : first_(first), most_(most), next_(first), random_(seed) {}
  std::chrono::milliseconds Next();
  void Reset() { next_ = first_; }

 private:
  std::chrono::milliseconds first_;
  std::chrono::milliseconds most_;
  std::chrono::milliseconds next_;
  Random random_;
};

// Sleeps, but not past a stop; whether the time was slept in full.
bool SleepFor(std::chrono::milliseconds time, const std::stop_token& stop);

// Waits before another attempt: for that time, but not past a stop, and no longer than a tenth of
// it once a channel that was cut off is connected again. Between two calls nobody else drives a
// connection forward: without this a channel takes many seconds to see that the far end is back.
// Whether there was no stop.
bool Pause(grpc::Channel& channel, std::chrono::milliseconds time, const std::stop_token& stop);

// Whether another attempt may succeed: the network or the coordinator was away, nothing was
// refused.
bool IsTransient(const Status& status);

// How often a command that somebody waits for tries a call that changes nothing, or a transfer.
// (The agent tries without limit.)
inline constexpr int kCommandAttempts = 5;

// Makes an attempt again while what fails is the network, kCommandAttempts times at most.
template <typename F>
auto Retry(grpc::Channel& channel, const std::stop_token& stop, F&& attempt)
    -> decltype(attempt()) {
  Backoff backoff(std::chrono::milliseconds(500), std::chrono::seconds(8), /*seed=*/0);
  for (int tried = 1;; ++tried) {
    auto result = attempt();
    const Status& status = internal::AsStatus(result);
    if (status.ok() || !IsTransient(status) || tried == kCommandAttempts ||
        !Pause(channel, backoff.Next(), stop)) {
      return result;
    }
  }
}

}  // namespace consilium
