#pragma once

// Fits to a model what a hospital's own images say of it.

#include <stop_token>
#include <string>

#include "client/infer/calibration.h"
#include "common/base/status.h"
#include "common/model/model_file.h"
#include "consilium/v1/site.pb.h"

namespace consilium {

// Temperature, thresholds and limits from the site's validation images, the known pictures from its
// training images (every n-th, where there are more than 4000). FAILED_PRECONDITION where either
// split is empty.
StatusOr<Calibration> Calibrate(const Model& model, const std::string& model_digest,
                                const v1::SiteConfig& site, double specificity,
                                const std::stop_token& stop);

}  // namespace consilium
