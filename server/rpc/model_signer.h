#pragma once

// What the coordinator answers for, it signs: its global models, and how far its audit trail has
// come. The key is Ed25519, in signing.pem of the coordinator's folder, certified by the issuing
// CA; it is made when it is first needed, and renewed when a third of its certificate's time is
// left.

#include <filesystem>
#include <memory>
#include <string>

#include "certs/model_manifest.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "server/registry/registry.h"
#include "server/round/coordinator.h"

namespace consilium {

// Thread-safe. Outlived by what it is given.
class ModelSigner {
 public:
  static StatusOr<std::unique_ptr<ModelSigner>> Open(const std::filesystem::path& folder,
                                                     const Registry& registry,
                                                     const Coordinator& coordinator,
                                                     const Clock& clock);

  // Renews the key when it is due.
  Status Refresh(TimePoint now);
  Signer signer() const;

  // The signed manifest of a run's model, with what is known of the model by now. NOT_FOUND where
  // there is no such model. `channel`: that it is released on, or empty.
  StatusOr<v1::Signed> ManifestOf(const std::string& run_id, int round,
                                  const std::string& channel = "") const;
  // The same, made at most a second ago: for the sites of a round, who come for its model together.
  StatusOr<v1::Signed> RecentManifestOf(const std::string& run_id, int round) const;

 private:
  struct Recent {
    std::string run_id;
    int round = 0;
    TimePoint made;
    v1::Signed manifest;
  };

  ModelSigner(std::filesystem::path folder, const Registry& registry,
              const Coordinator& coordinator, const Clock& clock)
      : folder_(std::move(folder)), registry_(registry), coordinator_(coordinator), clock_(clock) {}

  Status Renew(TimePoint now);
  Status Load();

  const std::filesystem::path folder_;
  const Registry& registry_;
  const Coordinator& coordinator_;
  const Clock& clock_;
  mutable Mutex mu_;
  std::unique_ptr<const Signer> signer_ ABSL_GUARDED_BY(mu_);
  TimePoint renew_at_ ABSL_GUARDED_BY(mu_);
  mutable Recent recent_ ABSL_GUARDED_BY(mu_);
};

}  // namespace consilium
