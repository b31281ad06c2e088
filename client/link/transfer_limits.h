#pragma once

// When and how fast a hospital lets models travel, by its policy.

#include <chrono>
#include <cstdint>
#include <optional>
#include <stop_token>

#include "common/base/status.h"
#include "consilium/v1/site.pb.h"

namespace consilium {

// Waits until the policy allows transfers. CANCELLED once `stop` is asked for.
Status AwaitTransferHours(const v1::SitePolicy& policy, const std::stop_token& stop);

// Holds one transfer down to the policy's rate. Not thread-safe.
class TransferRate {
 public:
  explicit TransferRate(const v1::SitePolicy& policy) : megabits_(policy.max_megabits()) {}

  // So many bytes of the transfer are done: sleeps until that is not too early.
  void Wait(std::uint64_t done, const std::stop_token& stop);

 private:
  const double megabits_;
  std::optional<std::uint64_t> first_done_;
  std::chrono::steady_clock::time_point began_;
};

}  // namespace consilium
