#pragma once

// Where in a picture a network finds what it says.

#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "client/batch/batch.h"
#include "client/nn/network.h"
#include "common/base/status.h"

namespace consilium {

enum class ExplanationMethod {
  // The sum over the last feature maps, each weighted with the mean of the class score's gradient
  // in it, nothing where that is negative (Grad-CAM; Selvaraju et al., ICCV 2017, equations 1, 2).
  kGradCam,
  // The same with each place's gradient weighted by how much it alone counts, so that several small
  // findings show as well as one large one (Grad-CAM++; Chattopadhay et al., WACV 2018, equations
  // 5, 10 and 19, for the exponential of the score).
  kGradCamPlusPlus,
  // By how much the class's log-odds fall when a square of the picture, an eighth of its side, is
  // made the mean grey (after Zeiler and Fergus, ECCV 2014, section 4.2, who look at the
  // probability, which does not fall where it is near 1); nothing where they never fall by 0.01.
  // Looks at no gradient and inside no network, and takes some 200 times as long.
  kOcclusion,
};

// "grad-cam", "grad-cam++", "occlusion".
std::vector<std::string> ExplanationMethods();
// INVALID_ARGUMENT for another name, with those.
StatusOr<ExplanationMethod> ParseExplanationMethod(const std::string& name);

// For each image of the batch a map of height x width, row-major, of what speaks for its class in
// `classes`, scaled so that the greatest is 1; all 0 where nothing speaks for it. N classes for N
// images. The network is as before. CANCELLED when stopped.
StatusOr<std::vector<float>> Explain(Network& network, const Batch& batch,
                                     std::span<const std::int64_t> classes,
                                     ExplanationMethod method, const std::stop_token& stop = {});

}  // namespace consilium
