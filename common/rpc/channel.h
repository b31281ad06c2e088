#pragma once

// A channel to a coordinator, and how patiently to use it.

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/security/credentials.h>

#include <chrono>
#include <memory>
#include <stop_token>
#include <string>

#include "common/base/random.h"
#include "common/base/status.h"

namespace consilium {

// Keeps a quiet connection alive through proxies and notices a dead one within about a minute.
std::shared_ptr<grpc::Channel> MakeChannel(
    const std::string& endpoint, const std::shared_ptr<grpc::ChannelCredentials>& credentials);

// One call: its deadline, and its end when `stop` is asked for. Lives as long as the call.
class CallContext {
 public:
  CallContext(std::chrono::milliseconds timeout, const std::stop_token& stop);
  grpc::ClientContext* get() { return &context_; }

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

// Whether another attempt may succeed: the network or the coordinator was away, nothing was
// refused.
bool IsTransient(const Status& status);

}  // namespace consilium
