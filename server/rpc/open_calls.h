#pragma once

// The calls that last: by who makes them, so that those of a member that is revoked can be cut, and
// by how they get on, so that a transfer that hardly moves is not kept open for ever.

#include <grpc/grpc.h>
#include <grpcpp/server_context.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/mutex.h"

namespace consilium {

// Thread-safe.
class OpenCalls {
 public:
  // A transfer moves at least kLeastBytes in each kWindow, or ends. (A chunk counts when it is
  // whole: of 256 KiB, about 17 kbit/s; of 1 MiB, as earlier versions send and wide lines
  // carry, 70.)
  static constexpr std::chrono::seconds kWindow{120};
  static constexpr std::uint64_t kLeastBytes = 256 << 10;

  // Keeps a call cuttable for as long as it lives, which is no longer than the call does.
  class Entry {
   public:
    Entry(OpenCalls& calls, std::string member, grpc::CallbackServerContext& context)
        : calls_(&calls), key_(std::move(member), &context) {
      MutexLock lock(calls_->mu_);
      calls_->open_.emplace(key_, Pace{});
    }
    Entry(Entry&& other) noexcept
        : calls_(std::exchange(other.calls_, nullptr)), key_(std::move(other.key_)) {}
    Entry& operator=(Entry&&) = delete;
    ~Entry() {
      if (calls_ == nullptr) return;
      MutexLock lock(calls_->mu_);
      calls_->open_.erase(key_);
    }

    // The call is a transfer, and so many bytes have moved since the last word.
    void Moved(std::uint64_t bytes) {
      MutexLock lock(calls_->mu_);
      Pace& pace = calls_->open_.at(key_);
      pace.is_transfer = true;
      pace.bytes += bytes;
    }

   private:
    OpenCalls* calls_;
    std::pair<std::string, grpc::CallbackServerContext*> key_;
  };

  // Cancels the member's calls: they end with CANCELLED.
  void Cut(const std::string& member) {
    Cancel([&](const Key& key, Pace& /*pace*/) { return key.first == member; },
           GRPC_STATUS_CANCELLED, "cut by the coordinator");
  }

  // Cancels transfers that are too slow: they end with UNAVAILABLE. Called about once a second.
  void CutSlow(TimePoint now) {
    Cancel(
        [&](const Key& /*key*/, Pace& pace) {
          if (!pace.is_transfer) return false;
          if (pace.window_began == TimePoint()) pace.window_began = now;
          if (now - pace.window_began < kWindow) return false;
          const bool too_slow = pace.bytes < kLeastBytes;
          pace.window_began = now;
          pace.bytes = 0;
          return too_slow;
        },
        GRPC_STATUS_UNAVAILABLE, "the transfer hardly moved, and was cut");
  }

 private:
  using Key = std::pair<std::string, grpc::CallbackServerContext*>;
  struct Pace {
    bool is_transfer = false;
    std::uint64_t bytes = 0;  // in the window
    TimePoint window_began;   // 1970: not yet
  };

  template <typename Predicate>
  void Cancel(Predicate&& is_wanted, grpc_status_code code, const char* message) {
    // Outside the lock, which a call that ends takes; until then each is kept by a reference.
    std::vector<grpc_call*> calls;
    {
      MutexLock lock(mu_);
      for (auto& [key, pace] : open_) {
        if (is_wanted(key, pace)) grpc_call_ref(calls.emplace_back(key.second->c_call()));
      }
    }
    for (grpc_call* call : calls) {
      grpc_call_cancel_with_status(call, code, message, nullptr);
      grpc_call_unref(call);
    }
  }

  Mutex mu_;
  std::map<Key, Pace> open_ ABSL_GUARDED_BY(mu_);
};

}  // namespace consilium
