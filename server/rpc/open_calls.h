#pragma once

// The calls that last, by who makes them, so that those of a member that is revoked can be cut.

#include <grpc/grpc.h>
#include <grpcpp/server_context.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/base/mutex.h"

namespace consilium {

// Thread-safe.
class OpenCalls {
 public:
  // Keeps a call cuttable for as long as it lives, which is no longer than the call does.
  class Entry {
   public:
    Entry(OpenCalls& calls, std::string member, grpc::CallbackServerContext& context)
        : calls_(&calls), key_(std::move(member), &context) {
      MutexLock lock(calls_->mu_);
      calls_->open_.insert(key_);
    }
    Entry(Entry&& other) noexcept
        : calls_(std::exchange(other.calls_, nullptr)), key_(std::move(other.key_)) {}
    Entry& operator=(Entry&&) = delete;
    ~Entry() {
      if (calls_ == nullptr) return;
      MutexLock lock(calls_->mu_);
      calls_->open_.erase(key_);
    }

   private:
    OpenCalls* calls_;
    std::pair<std::string, grpc::CallbackServerContext*> key_;
  };

  // Cancels the member's calls: they end with CANCELLED.
  void Cut(const std::string& member) {
    // Outside the lock, which a call that ends takes; until then each is kept by a reference.
    std::vector<grpc_call*> calls;
    {
      MutexLock lock(mu_);
      for (auto call = open_.lower_bound({member, nullptr});
           call != open_.end() && call->first == member; ++call) {
        grpc_call_ref(calls.emplace_back(call->second->c_call()));
      }
    }
    for (grpc_call* call : calls) {
      grpc_call_cancel_with_status(call, GRPC_STATUS_CANCELLED, "cut by the coordinator", nullptr);
      grpc_call_unref(call);
    }
  }

 private:
  Mutex mu_;
  std::set<std::pair<std::string, grpc::CallbackServerContext*>> open_ ABSL_GUARDED_BY(mu_);
};

}  // namespace consilium
