#pragma once

// The plans that a hospital has been asked to train, and what its people have decided of each: a
// JSON file a plan in the hospital's folder, plans/HASH.json. The hash is that of the serialised
// plan; what was decided holds for this plan alone, to the letter.

#include <filesystem>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/status.h"
#include "consilium/v1/plan.pb.h"

namespace consilium {

enum class PlanDecision { kPending, kApproved, kRejected };
std::string_view PlanDecisionName(PlanDecision decision);

struct PlanEntry {
  std::string hash;
  std::string run_id;  // that first asked for it
  std::string name;
  std::string plan;  // as JSON, for people
  PlanDecision decision = PlanDecision::kPending;
  std::string by;  // who decided; empty while pending
  TimePoint first_seen;
  TimePoint decided;  // 1970: not yet
};

std::string PlanHash(const v1::RunPlan& plan);

// Thread-safe: its state is the file system's.
class PlanBook {
 public:
  explicit PlanBook(const std::filesystem::path& folder) : folder_(folder / "plans") {}

  // Writes a plan down as pending, unless it is known; gives what stands there.
  StatusOr<PlanEntry> Note(const v1::RunPlan& plan, const std::string& run_id, TimePoint now) const;
  // NOT_FOUND for a plan that nobody asked for.
  StatusOr<PlanEntry> Find(const std::string& hash) const;
  // By the hash's first characters, at least 8 of them. INVALID_ARGUMENT where several begin so.
  StatusOr<PlanEntry> FindByPrefix(const std::string& prefix) const;
  // In the place of any decision before. `by` is the name of a person.
  Status Decide(const std::string& hash, PlanDecision decision, const std::string& by,
                TimePoint now) const;
  // Oldest first. DATA_LOSS names a file that cannot be read.
  StatusOr<std::vector<PlanEntry>> List() const;

 private:
  std::filesystem::path PathOf(const std::string& hash) const;
  Status Write(const PlanEntry& entry) const;

  const std::filesystem::path folder_;
};

}  // namespace consilium
