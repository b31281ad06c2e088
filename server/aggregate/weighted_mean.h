#pragma once

// Federated averaging (McMahan et al., AISTATS 2017, algorithm 1): w = sum_k (n_k / n) w_k.

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "common/model/layout.h"

namespace consilium {

// How one site's update counts: its weight is the number of training examples.
struct UpdateTerms {
  double weight = 0;
  double stretch = 1;  // of what it changes in the base model's parameters; see nova.h
  double reach = 1;    // how far a gradient of 1 would have moved it; see control_variate.h
};

// The update itself: values in the layout's order, or in that of a part of it, from a place on.
struct WeightedUpdate {
  std::span<const float> values;
  UpdateTerms terms;
  std::size_t first = 0;  // the place of the first of the values

  std::span<const float> at(std::size_t place, std::size_t count) const {
    return values.subspan(place - first, count);
  }
};

// Writes into `out` the elements [begin, begin + out.size()) of the new global model.
//
// Parameters and buffers: the weighted mean, of parameters with each update's change from the base
// model stretched, accumulated in float64 in the order of `updates`, some at a time, and
// rounded to float32 once, so the bits depend on that order alone; callers sort by site. Counters:
// the largest. Local tensors: the base model's, which no update changes; and so what `places`
// leaves out: where each tensor begins in the updates' values (common/model/part.h; empty: as in
// the layout). With `trim`, parameters and buffers are instead the mean of what is left of
// each element without so many of the lowest and of the highest (trimmed_mean.h). `base` holds
// layout.size() values; weights are finite and above 0; there is at least one update. Calls for
// different ranges may run at the same time.
void WeightedMean(const Layout& layout, std::span<const float> base,
                  std::span<const WeightedUpdate> updates, std::size_t begin, std::span<float> out,
                  std::span<const std::size_t> places = {}, std::optional<std::size_t> trim = {});

}  // namespace consilium
