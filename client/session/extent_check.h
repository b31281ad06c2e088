#pragma once

// How well a network that labels pixels finds lungs, opacities and their extent, where a hospital
// knows of them.

#include <optional>
#include <stop_token>
#include <string>

#include "common/base/status.h"
#include "common/metrics/agreement.h"
#include "common/model/model_file.h"
#include "consilium/v1/site.pb.h"

namespace consilium {

struct ExtentCheck {
  std::size_t masked = 0;  // pictures with a mask of their lungs
  // Dice coefficients over all pixels of these: of the lungs, affected or not, and of opacities in
  // the pictures whose opacities are known. Absent where there is nothing to find.
  std::optional<double> lungs;
  std::optional<double> opacities;
  std::size_t not_measured = 0;  // pictures in data.severity that are unreadable, or without a lung
                                 // that was found
  // With the experts' scores, of the pictures in data.severity.
  Agreement geographic_extent;
  Agreement opacity;
};

// On a split of the site's data: train, val, test or all. INVALID_ARGUMENT for a model that does
// not label pixels; NOT_FOUND where neither masks nor extents are known of any picture.
StatusOr<ExtentCheck> CheckExtent(const Model& model, const v1::SiteConfig& site,
                                  const std::string& split, const std::stop_token& stop);

}  // namespace consilium
