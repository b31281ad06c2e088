#pragma once

// The agent's way to the coordinator: calls that are made again, with growing pauses and without
// limit, while what fails is the network; transfers within the hours and at the rate of the site's
// policy.

#include <filesystem>
#include <stop_token>

#include "client/link/current_identity.h"
#include "client/link/task_reporter.h"
#include "client/link/transfer_limits.h"
#include "common/rpc/channel.h"
#include "consilium/v1/site.pb.h"

namespace consilium {

// Whether the coordinator will not have this hospital, or this client.
bool IsRefusal(const Status& status);

// Used by one thread; identity() is thread-safe.
class CoordinatorLink {
 public:
  // Outlived by the trail, in which renewals of the identity stand.
  CoordinatorLink(const Home& home, const std::filesystem::path& folder, AuditTrail& trail,
                  const v1::SitePolicy& policy, const std::stop_token& stop);

  CurrentIdentity& identity() { return identity_; }
  CoordinatorClient& client() { return identity_.client(); }

  // Waits before another attempt; gives the error back where another attempt makes no sense.
  Status PauseAfter(const Status& status);
  // The far end has answered: the next pause is a short one.
  void NoteSuccess() { backoff_.Reset(); }

  // Repeats an attempt until it succeeds, or fails for another reason than the network.
  template <typename F>
  auto Persist(F&& attempt) -> decltype(attempt()) {
    while (true) {
      auto result = attempt();
      const Status& status = internal::AsStatus(result);
      if (status.ok()) NoteSuccess();
      if (status.ok() || !IsTransient(status) || stop_.stop_requested()) return result;
      (void)PauseAfter(status);
    }
  }

  // Whether the policy holds transfers down to a rate.
  bool LimitsRate() const { return policy_.max_megabits() > 0; }
  // The same of a transfer, attempt(on_chunk), which the policy may hold back or down.
  template <typename F>
  Status Transfer(v1::TaskStage stage, TaskReporter& reporter, F&& attempt) {
    reporter.Enter(stage);
    const std::stop_token stop = reporter.stop_token();
    CSL_RETURN_IF_ERROR(AwaitTransferHours(policy_, stop));
    TransferRate rate(policy_);
    return Persist([&] {
      return attempt([&](std::uint64_t done, std::uint64_t total) {
        reporter.Advance(done, total);
        rate.Wait(done, stop);
      });
    });
  }

 private:
  CurrentIdentity identity_;
  const v1::SitePolicy policy_;
  const std::stop_token stop_;
  Backoff backoff_;
};

}  // namespace consilium
