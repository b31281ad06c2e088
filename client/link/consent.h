#pragma once

// Whether a task is within what this place agrees to: by its policy, and its people, where they are
// asked.

#include <filesystem>
#include <stop_token>

#include "client/link/plan_book.h"
#include "client/link/task_reporter.h"
#include "common/base/status.h"
#include "consilium/v1/coordinator.pb.h"
#include "consilium/v1/site.pb.h"

namespace consilium {

class Consent {
 public:
  Consent(const v1::SiteConfig& site, const std::filesystem::path& folder)
      : site_(site), plans_(folder) {}

  // Writes the plan down in the folder, and waits for a decision on it where the policy asks for
  // one. The task may be done where OK; PERMISSION_DENIED and INVALID_ARGUMENT say why not, of the
  // plan and the policy alone. CANCELLED where the reporter's stop came first.
  Status Ask(const v1::Task& task, TaskReporter& reporter) const;

 private:
  const v1::SiteConfig site_;
  const PlanBook plans_;
};

// Whether Ask's error is a decision, whose message may be sent; others are accidents of this place.
bool IsDecision(const Status& status);

}  // namespace consilium
