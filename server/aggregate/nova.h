#pragma once

// Normalised averaging (FedNova; Wang et al., NeurIPS 2020): a hospital that takes more local steps
// than the others, because it has more images, does not pull the model further its own way for
// that.

#include <vector>

namespace consilium {

// What each update's change is to be multiplied with before the weighted mean is taken: tau_eff /
// |a_i| (there, equation 9, with tau_eff the weighted mean of the |a_i|), so that sites that have
// taken as many steps give 1. Weights and progress are above 0, and as many.
std::vector<double> NovaStretches(const std::vector<double>& weights,
                                  const std::vector<double>& progress);

}  // namespace consilium
