#pragma once

// Probabilities that mean what they say: one number that a hospital fits on its own images (Guo et
// al., ICML 2017, section 4.2).

#include "common/metrics/scores.h"

namespace consilium {

// Each row p becomes softmax(log(p) / temperature): above 1 less sure, below 1 surer; the order of
// the classes stays. temperature > 0.
Scores AtTemperature(const Scores& scores, double temperature);

// The temperature from 0.05 to 20 with the least cross-entropy on these images, to 3 digits. 1
// where there is no image.
double FitTemperature(const Scores& scores);

// What it is worth on images that it was not fitted on: the patients are cut into two halves, and
// each half is scored at the temperature of the other. As many images as before, in their order.
// The images as they are where there is one patient or none.
Scores CrossFitTemperature(const Scores& scores);

}  // namespace consilium
