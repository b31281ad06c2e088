#pragma once

// What a hospital agrees to, by its site.yaml. Its word is the last: a task outside it is refused,
// and the coordinator hears why. Pure. Messages speak of the plan and the policy alone, so that
// they may be sent.

#include <chrono>
#include <cstdint>
#include <string>

#include "common/base/clock.h"
#include "common/base/status.h"
#include "consilium/v1/coordinator.pb.h"
#include "consilium/v1/site.pb.h"

namespace consilium {

// PERMISSION_DENIED with the reason unless the policy allows the task; INVALID_ARGUMENT for a plan
// that is none.
Status CheckPolicy(const v1::SiteConfig& site, const v1::Task& task);

// The same of how long a run trains on an image, which for a plan of local_steps depends on how
// many images the hospital has.
Status CheckEpochs(const v1::SitePolicy& policy, const v1::RunPlan& plan,
                   std::uint64_t train_images);

// How long a task may train; zero: as long as it takes.
std::chrono::seconds MaxTrainingTime(const v1::SitePolicy& policy);

// Whether models and updates may travel now, by the site's own time of day.
bool MayTransfer(const v1::SitePolicy& policy, TimePoint now);

}  // namespace consilium
