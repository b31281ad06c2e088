#pragma once

// A hospital's audit trail: what leaves the house, and how far the coordinator's own trail had
// come.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "common/audit/trail.h"
#include "common/crypto/certificate.h"
#include "consilium/v1/signed.pb.h"

namespace consilium {

// Something that is sent to the coordinator: an update, or an initial model.
struct Sending {
  std::string time;  // of the first attempt, when it is read
  std::string task_id;
  std::string digest;
  std::uint64_t bytes = 0;
  std::uint64_t train_examples = 0;  // 0 for an initial model
  double norm = 0;                   // L2, of what it changes in the global model
};

// Before the first byte leaves.
Status NoteSending(AuditTrail& trail, const Sending& sending);
// All that was ever sent, oldest first; what was sent again stands there once. The trail is
// checked.
StatusOr<std::vector<Sending>> ReadOutbox(const std::filesystem::path& folder);

// Keeps the heads of the coordinator's trail, which the coordinator has signed.
class CoordinatorHeads {
 public:
  // Outlived by the trail that they are kept in.
  CoordinatorHeads(AuditTrail& trail, Certificate root) : trail_(trail), root_(std::move(root)) {}

  // PERMISSION_DENIED unless its certificate is one for signing below the root. The certificate is
  // kept with the first head that it has signed.
  Status Keep(const v1::SignedHead& head, const std::string& task_id, TimePoint now);

 private:
  AuditTrail& trail_;
  const Certificate root_;
  std::string kept_serial_;
};

}  // namespace consilium
