#include "common/metrics/localisation.h"

#include <algorithm>

namespace consilium {

std::optional<double> ShareInside(Map map, const Region& region) {
  double inside = 0;
  double all = 0;
  for (std::size_t i = 0; i < map.size(); ++i) {
    all += static_cast<double>(map[i]);
    if (region[i]) inside += static_cast<double>(map[i]);
  }
  if (all == 0) return std::nullopt;
  return inside / all;
}

std::optional<bool> PointsInside(Map map, const Region& region) {
  const auto greatest = std::ranges::max_element(map);
  if (greatest == map.end() || *greatest == 0) return std::nullopt;
  return region[static_cast<std::size_t>(greatest - map.begin())];
}

double Overlap(Map map, double threshold, const Region& region) {
  std::size_t both = 0;
  std::size_t either = 0;
  for (std::size_t i = 0; i < map.size(); ++i) {
    const bool marked = static_cast<double>(map[i]) >= threshold;
    both += marked && region[i] ? 1 : 0;
    either += marked || region[i] ? 1 : 0;
  }
  return either == 0 ? 0 : static_cast<double>(both) / static_cast<double>(either);
}

double AreaShare(const Region& region) {
  if (region.empty()) return 0;
  return static_cast<double>(std::ranges::count(region, true)) / static_cast<double>(region.size());
}

}  // namespace consilium
