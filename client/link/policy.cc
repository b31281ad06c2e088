#include "client/link/policy.h"

#include <algorithm>
#include <ctime>

#include "common/config/plan.h"
#include "common/config/site.h"

namespace consilium {
namespace {

int MinuteOfDay(TimePoint now) {
  const std::time_t time = std::chrono::system_clock::to_time_t(now);
  std::tm local{};
  localtime_r(&time, &local);
  return local.tm_hour * 60 + local.tm_min;
}

// Of the privacy settings that a policy can require, whether the plan has this one.
bool HasPrivacy(const v1::RunPlan& plan, const std::string& setting) {
  return setting == kPseudonyms && plan.site_names() == kPseudonyms;
}

}  // namespace

Status CheckPolicy(const v1::SiteConfig& site, const v1::Task& task) {
  CSL_RETURN_IF_ERROR(CheckPlan(task.plan()));
  const v1::SitePolicy& policy = site.policy();
  const std::string& architecture = task.plan().model().architecture();
  const auto& allowed = site.architectures();
  if (!allowed.empty() &&
      std::find(allowed.begin(), allowed.end(), architecture) == allowed.end()) {
    return PermissionDenied("site.yaml does not allow the architecture '{}'", architecture);
  }
  if (task.cohort_sites() < policy.min_cohort()) {
    return PermissionDenied(
        "the round has {} sites, site.yaml wants at least {} (policy.min_cohort)",
        task.cohort_sites(), policy.min_cohort());
  }
  for (const std::string& setting : policy.required_privacy()) {
    if (!HasPrivacy(task.plan(), setting)) {
      return PermissionDenied("the plan lacks '{}', which site.yaml requires", setting);
    }
  }
  return OkStatus();
}

Status CheckEpochs(const v1::SitePolicy& policy, const v1::RunPlan& plan,
                   std::uint64_t train_images) {
  if (policy.max_epochs() == 0) return OkStatus();
  const v1::Training& training = plan.training();
  double epochs = training.local_epochs();
  if (training.local_steps() > 0) {
    epochs = static_cast<double>(training.local_steps()) * training.batch_size() /
             static_cast<double>(std::max<std::uint64_t>(train_images, 1));
  }
  epochs *= plan.rounds();
  if (epochs <= policy.max_epochs()) return OkStatus();
  return PermissionDenied(
      "the run trains for {:.1f} epochs, site.yaml allows {} (policy.max_epochs)", epochs,
      policy.max_epochs());
}

std::chrono::seconds MaxTrainingTime(const v1::SitePolicy& policy) {
  return std::chrono::seconds(static_cast<std::int64_t>(policy.max_task_hours() * 3600));
}

bool MayTransfer(const v1::SitePolicy& policy, TimePoint now) {
  if (policy.transfer_hours().empty()) return true;
  const int minute = MinuteOfDay(now);
  return std::ranges::any_of(policy.transfer_hours(), [&](const std::string& text) {
    const auto hours = ParseHours(text);
    if (!hours.ok()) return false;
    const auto [begin, end] = *hours;
    // A span such as 22:00-06:00 goes over midnight.
    return begin <= end ? begin <= minute && minute < end : begin <= minute || minute < end;
  });
}

}  // namespace consilium
