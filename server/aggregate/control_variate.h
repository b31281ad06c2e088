#pragma once

// SCAFFOLD's control variate at the coordinator (Karimireddy et al., ICML 2020, algorithm 1).
//
// Every site k knows the mean gradient c_k of its last training, the coordinator their mean c, and
// a site that trains adds c - c_k to each of its gradients: what its own data alone ask for is
// taken out of its steps, and what everybody's ask for put in. With x the global model, y_k what
// site k made of it, and reach_k how far a gradient of 1 would have moved it (learning rate times
// LocalProgress):
//
//   c_k' = c_k - c + (x - y_k) / reach_k                  (there, line 12, option II)
//   c'   = c + (|S| / N) sum_k (n_k / n) (c_k' - c_k)     (line 17, sites weighted as in the mean)
//
// In c_k' - c_k = (x - y_k) / reach_k - c nothing is secret or unknown here: no site sends more
// than its update for it.

#include <cstddef>
#include <span>

#include "server/aggregate/weighted_mean.h"

namespace consilium {

// Makes c' of the c that `control` holds (0 at the beginning), for the elements that `base` holds
// and that begin at `begin` in the updates. Participation is |S| / N, in (0, 1]; every update's
// reach is above 0. In float64, in the order of `updates`, rounded once, so the same inputs give
// the same bits.
void StepControlVariate(std::span<const float> base, std::span<const WeightedUpdate> updates,
                        double participation, std::size_t begin, std::span<float> control);

}  // namespace consilium
