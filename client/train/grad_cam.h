#pragma once

// Where in a picture a network finds what it says: gradient-weighted class activation maps
// (Selvaraju et al., ICCV 2017, equations 1 and 2).

#include <span>
#include <vector>

#include "client/batch/batch.h"
#include "client/nn/network.h"
#include "common/base/status.h"

namespace consilium {

// For each image of the batch a map of height x width, row-major, of what speaks for its class in
// `classes`: the sum over the last feature maps, each weighted with the mean of the score's
// gradient in it, nothing where that is negative, grown to the image's size and scaled so that the
// greatest is 1. All 0 where nothing speaks for it. N classes for N images.
StatusOr<std::vector<float>> GradCam(Network& network, const Batch& batch,
                                     std::span<const std::int64_t> classes);

}  // namespace consilium
