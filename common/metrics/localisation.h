#pragma once

// How well a map of a picture agrees with a region that is known.

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace consilium {

// A map's values and a region's places, both row-major and of one size.
using Map = std::span<const float>;  // 0 or greater
using Region = std::vector<bool>;

// The share of the map's sum that lies in the region. Absent where the map is 0 everywhere.
std::optional<double> ShareInside(Map map, const Region& region);

// Whether the map's greatest value lies in the region: a hit of the pointing game (Zhang et al.,
// IJCV 2018, section 4.2). Absent where the map is 0 everywhere. Of equal values the first counts.
std::optional<bool> PointsInside(Map map, const Region& region);

// Intersection over union of the region and the places with at least `threshold`; 0 where both are
// empty.
double Overlap(Map map, double threshold, const Region& region);

// The share of all places that the region takes.
double AreaShare(const Region& region);

}  // namespace consilium
