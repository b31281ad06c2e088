#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "client/infer/extent.h"
#include "client/infer/predictor.h"

namespace consilium {

// What goes with every prediction that is handed on.
inline constexpr char kResearchUse[] =
    "Research use only: not a medical device. A probability is a model's, not a diagnosis.";

// A prediction for programs, without its path: prediction, probabilities and spread by class and,
// where there is a calibration, abstains, called, distance, energy and
// layout_distance.
nlohmann::ordered_json ToJson(const Prediction& prediction,
                              const std::vector<std::string>& classes);

// The classes that are called; none where the model abstains or there is no calibration.
std::vector<std::string> CalledClasses(const Prediction& prediction,
                                       const std::vector<std::string>& classes);
// Whether the picture is unlike what the model knows.
bool Abstains(const Prediction& prediction);

// right_lung and left_lung with area and affected, or null; geographic_extent and opacity, or null.
nlohmann::ordered_json ToJson(const Extent& extent);

}  // namespace consilium
