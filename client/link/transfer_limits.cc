#include "client/link/transfer_limits.h"

#include <spdlog/spdlog.h>

#include "client/link/policy.h"
#include "common/rpc/channel.h"

namespace consilium {
namespace {

constexpr std::chrono::seconds kLookInterval{5};
constexpr double kBitsPerMegabit = 1e6;

}  // namespace

Status AwaitTransferHours(const v1::SitePolicy& policy, const std::stop_token& stop) {
  bool said = false;
  while (!MayTransfer(policy, SystemClock().Now())) {
    if (!std::exchange(said, true)) spdlog::info("waiting for the hours of policy.transfer_hours");
    if (!SleepFor(kLookInterval, stop)) return Cancelled("stopped");
  }
  return OkStatus();
}

void TransferRate::Wait(std::uint64_t done, const std::stop_token& stop) {
  if (megabits_ == 0) return;
  const auto now = std::chrono::steady_clock::now();
  if (!first_done_ || done < *first_done_) {  // what an attempt before had sent costs nothing
    first_done_ = done;
    began_ = now;
    return;
  }
  const std::chrono::duration<double> due(static_cast<double>(done - *first_done_) * 8 /
                                          (megabits_ * kBitsPerMegabit));
  const auto early = std::chrono::duration_cast<std::chrono::milliseconds>(due - (now - began_));
  if (early.count() > 0) (void)SleepFor(early, stop);
}

}  // namespace consilium
