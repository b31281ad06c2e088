#include "client/link/coordinator_link.h"

#include <spdlog/spdlog.h>

#include <random>

namespace consilium {
namespace {

constexpr std::chrono::milliseconds kFirstPause{500};
constexpr std::chrono::milliseconds kMostPause{30'000};

}  // namespace

bool IsRefusal(const Status& status) {
  return status.code() == absl::StatusCode::kUnauthenticated ||
         status.code() == absl::StatusCode::kPermissionDenied ||
         status.code() == absl::StatusCode::kFailedPrecondition ||
         status.code() == absl::StatusCode::kUnimplemented;
}

CoordinatorLink::CoordinatorLink(const Home& home, const std::filesystem::path& folder,
                                 AuditTrail& trail, const v1::SitePolicy& policy,
                                 const std::stop_token& stop)
    : identity_(home, folder, trail, stop),
      policy_(policy),
      stop_(stop),
      backoff_(kFirstPause, kMostPause, std::random_device{}()) {}

Status CoordinatorLink::PauseAfter(const Status& status) {
  if (stop_.stop_requested()) return OkStatus();
  if (IsRefusal(status)) return status;
  identity_.KeepCurrent(SystemClock().Now());
  const auto pause = backoff_.Next();
  spdlog::warn("{}; next attempt in {} ms", std::string(status.message()), pause.count());
  Pause(*client().channel(), pause, stop_);
  return OkStatus();
}

}  // namespace consilium
