#pragma once

// What the coordinator makes of a round's average: a step of its own, with momentum or with a rate
// for each parameter.
//
// With x the global model that the round began with, D the weighted mean of the updates less x, and
// all operations element by element:
//
//   average    x' = x + D                                        (McMahan et al., AISTATS 2017)
//   momentum   m' = b1 m + D,             x' = x + rate m'       (FedAvgM; Hsu et al. 2019, sec. 4)
//   adaptive   m' = b1 m + (1 - b1) D,    x' = x + rate m' / (sqrt(v') + tau)
//              (Reddi et al., ICLR 2021, algorithm 2), where from v = tau^2 on
//     adagrad  v' = v + D^2
//     adam     v' = b2 v + (1 - b2) D^2
//     yogi     v' = v - (1 - b2) D^2 sign(v - D^2)

#include <cstddef>
#include <span>

#include "server/state/run_state.h"

namespace consilium {

// How many numbers for each element of a model it carries from round to round.
std::size_t MomentsPerElement(ServerOptimizerKind kind);

// Puts into `moments`, interleaved element by element, what it begins the first round with.
void BeginMoments(const ServerOptimizer& optimizer, std::span<float> moments);

// Takes the step of one of those above. `model` holds the average, in float32, and gets x';
// `moments` is carried on. Each is computed in float64 and rounded once, so the same inputs give
// the same bits.
void StepServer(const ServerOptimizer& optimizer, std::span<const float> base,
                std::span<float> moments, std::span<float> model);

}  // namespace consilium
