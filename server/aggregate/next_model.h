#pragma once

// The arithmetic of a round: what the updates make of the global model. Knows no file.

#include <cstddef>
#include <span>

#include "common/model/layout.h"
#include "server/aggregate/weighted_mean.h"
#include "server/state/run_state.h"

namespace consilium {

// What every part of the next global model is made of. All spans are in the layout's order.
struct RoundInputs {
  const Layout& layout;
  std::span<const float> base;
  std::span<const WeightedUpdate> updates;
  const ServerOptimizer& optimizer;
  std::span<const float> moments;       // of the round before; empty: the optimiser begins
  double participation = 1;             // the share of the round's sites that the updates are of
  std::span<const std::size_t> places;  // of the tensors in the updates; see weighted_mean.h
  Combination combination = Combination::kMean;  // kKrum: of the one that counts, or of too few
};

// Writes the next model's elements from `begin` on, and the moments behind them, interleaved,
// MomentsPerElement for each: the updates' combination, stepped by the optimiser where it is a
// parameter. On all cores. The same inputs give the same bits, whatever the parts.
void MakeNextModel(const RoundInputs& inputs, std::size_t begin, std::span<float> model,
                   std::span<float> moments);

}  // namespace consilium
