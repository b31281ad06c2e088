#pragma once

// Krum: of a round's updates the one that has the nearest neighbours (Blanchard et al., NeurIPS
// 2017, section 4), so that no wrong update counts at all, and no mean of wrong and right ones.

#include <cstddef>
#include <span>
#include <vector>

#include "common/model/layout.h"
#include "server/aggregate/weighted_mean.h"

namespace consilium {

inline constexpr std::size_t kLeastForKrum = 3;

// How far n >= kLeastForKrum updates are from each other over the parameters, measured part by part
// on all cores. The same parts give the same bits on every machine.
class KrumDistances {
 public:
  explicit KrumDistances(std::size_t updates) : squares_(updates, std::vector<double>(updates)) {}

  // The elements [begin, end) of the layout.
  void Add(const Layout& layout, std::span<const WeightedUpdate> updates, std::size_t begin,
           std::size_t end, std::span<const std::size_t> places = {});
  // The place of the one with the least sum of squared distances to its n - f - 2 nearest, where f
  // = (n - 3) / 2 may be wrong. The first of several.
  std::size_t Choice() const;

 private:
  std::vector<std::vector<double>> squares_;
};

}  // namespace consilium
