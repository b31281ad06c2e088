#pragma once

// The probability from which on a class is called, chosen so that it is seldom called wrongly.

#include <optional>

#include "common/metrics/scores.h"

namespace consilium {

// The least threshold t such that at least `specificity` of the images that are not of the class
// have a probability below t; the class is called where its probability is t or more. Absent where
// no image is of another class, or none of this one.
std::optional<double> ThresholdAtSpecificity(const Scores& scores, int of_class,
                                             double specificity);

}  // namespace consilium
