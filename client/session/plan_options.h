#pragma once

// What the parts of a hospital need of a plan and of its own settings, in their own words.

#include "client/data/image_set.h"
#include "client/data/loader.h"
#include "client/data/manifest.h"
#include "client/data/pixel_labels.h"
#include "client/train/trainer.h"
#include "common/base/status.h"
#include "common/model/model_info.h"
#include "consilium/v1/plan.pb.h"
#include "consilium/v1/site.pb.h"

namespace consilium {

// The training of one round (1 is the first) on a site with these examples a class. A plan that
// CheckPlan has passed. `told_class_counts`: of all sites, which the classes are then weighed by.
StatusOr<TrainOptions> ToTrainOptions(const v1::RunPlan& plan, int round,
                                      const std::vector<std::uint64_t>& class_counts,
                                      const std::vector<std::uint64_t>& told_class_counts = {});

// How far a gradient of 1 moves a model in so many steps of that round (SCAFFOLD).
double ReachOf(const v1::RunPlan& plan, int round, std::uint64_t steps);

// Batches to train on: shuffled, augmented.
LoaderOptions ToTrainLoader(const v1::RunPlan& plan, const v1::SiteConfig& site);
// Batches to evaluate on: in order, as they are.
LoaderOptions ToEvaluationLoader(const v1::RunPlan& plan, const v1::SiteConfig& site);

// What a hospital knows of its pictures' pixels.
PixelSources ToPixelSources(const v1::SiteData& data);

DataSource ToDataSource(const v1::SiteData& data);
ImageSetOptions ToImageSetOptions(const v1::SiteConfig& site, const ModelSpec& spec,
                                  const std::filesystem::path& cache_folder);

}  // namespace consilium
