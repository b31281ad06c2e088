#pragma once

// Updates that are looked at while they are uploaded, so that their reports need no more than to
// ask what was found.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "common/base/mutex.h"
#include "server/admission/update_inspection.h"

namespace consilium {

// The norms of those that were found good, by task, until they are forgotten. Thread-safe.
class InspectedUpdates {
 public:
  // Whether the task's upload may be inspected once more. Only so often: a small file may stand for
  // a large model, and nothing obliges a site to report what it uploads.
  static constexpr int kMostInspections = 3;
  bool MayBegin(const std::string& task_id) {
    MutexLock lock(mu_);
    return ++found_[task_id].begun <= kMostInspections;
  }
  void Note(const std::string& task_id, const std::string& digest, double norm) {
    MutexLock lock(mu_);
    Found& found = found_[task_id];
    found.digest = digest;
    found.norm = norm;
  }
  // None where the task's upload of that digest was not inspected, or not found good.
  std::optional<double> NormOf(const std::string& task_id, const std::string& digest) const {
    MutexLock lock(mu_);
    const auto found = found_.find(task_id);
    if (found == found_.end() || found->second.digest != digest) return std::nullopt;
    return found->second.norm;
  }
  // All but those of the tasks that the predicate is true of.
  void Forget(const std::function<bool(const std::string& task_id)>& is_awaited) {
    MutexLock lock(mu_);
    std::erase_if(found_, [&](const auto& entry) { return !is_awaited(entry.first); });
  }

 private:
  struct Found {
    int begun = 0;
    std::string digest;
    double norm = 0;
  };
  mutable Mutex mu_;
  std::map<std::string, Found> found_ ABSL_GUARDED_BY(mu_);
};

// One on its way in. Not thread-safe.
class ArrivingUpdate {
 public:
  ArrivingUpdate(UpdateInspection inspection, std::shared_ptr<InspectedUpdates> inspected,
                 std::string task_id, std::string digest)
      : inspection_(std::move(inspection)),
        inspected_(std::move(inspected)),
        task_id_(std::move(task_id)),
        digest_(std::move(digest)) {}

  // Its next bytes.
  void Append(std::span<const std::byte> bytes) { inspection_.Append(bytes); }
  // They were all, and have the digest.
  void Finish() {
    const auto norm = inspection_.Finish();
    if (norm.ok()) inspected_->Note(task_id_, digest_, *norm);
  }

 private:
  UpdateInspection inspection_;
  std::shared_ptr<InspectedUpdates> inspected_;
  std::string task_id_;
  std::string digest_;
};

}  // namespace consilium
