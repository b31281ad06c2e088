#include "common/metrics/operating_point.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace consilium {

std::optional<double> ThresholdAtSpecificity(const Scores& scores, int of_class,
                                             double specificity) {
  std::vector<float> others;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (scores.labels[i] != of_class) {
      others.push_back(scores.row(i)[static_cast<std::size_t>(of_class)]);
    }
  }
  if (others.empty() || others.size() == scores.size()) return std::nullopt;
  const auto below =
      static_cast<std::size_t>(std::ceil(specificity * static_cast<double>(others.size()) - 1e-9));
  if (below == 0) return 0;
  std::ranges::sort(others);
  return std::nextafter(others[below - 1], std::numeric_limits<float>::max());
}

}  // namespace consilium
