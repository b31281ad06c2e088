#include "common/rpc/channel.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>
#include <charconv>

#include "common/base/mutex.h"
#include "common/rpc/protocol.h"

namespace consilium {
namespace {

constexpr int kKeepaliveMs = 30'000;
constexpr int kKeepaliveTimeoutMs = 20'000;
constexpr int kFirstReconnectMs = 200;
constexpr int kMaxReconnectMs = 5'000;
// Of an answer. The largest is a long run's, with every round's scores.
constexpr int kMaxAnswerBytes = 256 << 20;

}  // namespace

std::shared_ptr<grpc::Channel> MakeChannel(
    const std::string& endpoint, const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kFirstReconnectMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kMaxReconnectMs);
  arguments.SetMaxReceiveMessageSize(kMaxAnswerBytes);
  // Hospitals of one process (tests, benchmarks) must not share a connection.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(endpoint, credentials, arguments);
}

CallContext::CallContext(std::chrono::milliseconds timeout, const std::stop_token& stop)
    : on_stop_(stop, Cancel{&context_}) {
  context_.set_deadline(std::chrono::system_clock::now() + timeout);
  context_.AddMetadata(kProtocolKey, ProtocolVersion());
  context_.AddMetadata(kSoftwareKey, std::string(SoftwareVersion()));
}

std::string CallContext::PeerVersion() const {
  const auto& metadata = context_.GetServerInitialMetadata();
  const auto software = metadata.find(kSoftwareKey);
  const auto protocol = metadata.find(kProtocolKey);
  if (software == metadata.end() || protocol == metadata.end()) return "";
  return fmt::format("{}, protocol {}",
                     std::string(software->second.data(), software->second.size()),
                     std::string(protocol->second.data(), protocol->second.size()));
}

std::optional<TimePoint> CallContext::PeerTime() const {
  const auto& metadata = context_.GetServerInitialMetadata();
  const auto found = metadata.find(kTimeKey);
  std::int64_t millis = 0;
  if (found == metadata.end() ||
      std::from_chars(found->second.begin(), found->second.end(), millis).ec != std::errc()) {
    return std::nullopt;
  }
  return FromUnixMillis(millis);
}

std::chrono::milliseconds Backoff::Next() {
  const std::chrono::milliseconds wait = next_;
  next_ = std::min(2 * next_, most_);
  return std::chrono::milliseconds(
      static_cast<std::int64_t>(static_cast<double>(wait.count()) * random_.Uniform(0.5, 1.0)));
}

bool SleepFor(std::chrono::milliseconds time, const std::stop_token& stop) {
  Mutex mutex;
  CondVar wake;
  MutexLock lock(mutex);
  return !wake.wait_for(mutex, stop, time, [&] { return stop.stop_requested(); });
}

bool Pause(grpc::Channel& channel, std::chrono::milliseconds time, const std::stop_token& stop) {
  constexpr std::chrono::milliseconds kSlice{200};  // how late a stop is seen
  constexpr int kLeastShare = 10;
  const auto begin = std::chrono::steady_clock::now();
  bool was_away = false;
  while (!stop.stop_requested()) {
    const grpc_connectivity_state state = channel.GetState(/*try_to_connect=*/true);
    const auto waited = std::chrono::steady_clock::now() - begin;
    const bool is_back = was_away && state == GRPC_CHANNEL_READY;
    if (waited >= (is_back ? time / kLeastShare : time)) return true;
    if (state == GRPC_CHANNEL_READY) {
      SleepFor(std::min(kSlice, time / kLeastShare), stop);
    } else {
      was_away = true;
      channel.WaitForStateChange(state, std::chrono::system_clock::now() + kSlice);
    }
  }
  return false;
}

bool IsTransient(const Status& status) {
  return status.code() == absl::StatusCode::kUnavailable ||
         status.code() == absl::StatusCode::kDeadlineExceeded ||
         status.code() == absl::StatusCode::kAborted;
}

}  // namespace consilium
