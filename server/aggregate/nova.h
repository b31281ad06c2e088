#pragma once

// Normalised averaging (FedNova; Wang et al., NeurIPS 2020): a hospital that takes more local steps
// than the others, because it has more images, does not pull the model further its own way for
// that.

#include <cstdint>
#include <vector>

namespace consilium {

// By how much `steps` local steps of gradient descent with this momentum move a model, in steps
// without it: the sum of the weights that each step's gradient has in the change (there, |a_i|,
// section 4: tau for momentum 0, else (tau - rho (1 - rho^tau) / (1 - rho)) / (1 - rho)). As if the
// learning rate were the same in all steps of a round, which a schedule makes nearly true.
double LocalProgress(std::uint64_t steps, double momentum);

// What each update's change is to be multiplied with before the weighted mean is taken: tau_eff /
// |a_i| (there, equation 9, with tau_eff the weighted mean of the |a_i|), so that sites that have
// taken as many steps give 1. Weights and progress are above 0, and as many.
std::vector<double> NovaStretches(const std::vector<double>& weights,
                                  const std::vector<double>& progress);

}  // namespace consilium
