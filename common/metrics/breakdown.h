#pragma once

// The same figures for parts of a set of images: by site, view, sex or age.

#include <optional>
#include <string>
#include <vector>

#include "common/metrics/scores.h"

namespace consilium {

// A group of fewer patients is not described: what could be said of it would be about them.
inline constexpr std::size_t kSmallestGroup = 5;

struct GroupFigures {
  std::string name;
  // Absent where the group is too small.
  std::optional<std::size_t> images;
  std::optional<std::size_t> patients;
  std::optional<double> accuracy;
  std::optional<Interval> accuracy_ci;  // 95%, by patient
  std::optional<double> balanced_accuracy;
};
struct Breakdown {
  std::string by;
  std::vector<GroupFigures> groups;  // by name
};

// Images with the same name belong together; an empty name becomes "not given". As many names as
// images.
Breakdown BreakDown(const std::string& by, const Scores& scores,
                    const std::vector<std::string>& names);

// "40-59" for "52": under 18, 18-39, 40-59, 60-79, 80 and over. Empty for what is no age.
std::string AgeBand(const std::string& age);

}  // namespace consilium
