#pragma once

// SCAFFOLD at a hospital (Karimireddy et al., ICML 2020, algorithm 1, option II): gradients are
// shifted by c - c_k, from what this hospital's data alone ask for towards what all ask for. The
// coordinator's side and the equations are in server/aggregate/control_variate.h.

#include <span>
#include <vector>

#include "common/model/model_state.h"

namespace consilium {

// TrainOptions::gradient_shift: c - c_k. Either may be empty, which is 0; both: an empty one.
std::vector<float> GradientShift(std::span<const float> c, std::span<const float> own);

// c_k' = c_k - c + (x - y) / reach for the parameters, 0 for all other tensors: what this hospital
// keeps after a training that made y of the global model x. `reach`: the learning rate times
// LocalProgress, above 0; c and c_k as above.
ModelState NextControlVariate(const ModelState& before, const ModelState& after,
                              std::span<const float> c, std::span<const float> own, double reach);

}  // namespace consilium
