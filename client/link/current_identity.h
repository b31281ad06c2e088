#pragma once

// The identity that an agent calls with, kept current: renewed when a third of its certificate's
// time is left, and taken over from the folder when another process has renewed it.

#include <filesystem>
#include <stop_token>

#include "certs/expiry.h"
#include "certs/home.h"
#include "certs/trail_head.h"
#include "client/rpc/coordinator_client.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"

namespace consilium {

// Thread-safe.
class CurrentIdentity {
 public:
  // Outlived by the trail, in which renewals stand.
  CurrentIdentity(const Home& home, std::filesystem::path folder, AuditTrail& trail,
                  const std::stop_token& stop);

  // Does what is due. What fails is logged and tried again later: the certificate is good for a
  // while yet.
  void KeepCurrent(TimePoint now);

  // The head of this hospital's audit trail, signed with the key that it calls with.
  StatusOr<v1::SignedHead> SignHead(const TrailHead& head);

  CoordinatorClient& client() { return client_; }

 private:
  Status TakeOver() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::filesystem::path folder_;
  AuditTrail& trail_;
  CoordinatorClient client_;
  Mutex mu_;
  Home home_ ABSL_GUARDED_BY(mu_);
  TimePoint next_attempt_ ABSL_GUARDED_BY(mu_);
  ExpiryWarnings warnings_ ABSL_GUARDED_BY(mu_);
};

}  // namespace consilium
