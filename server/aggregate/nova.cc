#include "server/aggregate/nova.h"

#include <cstddef>

namespace consilium {

std::vector<double> NovaStretches(const std::vector<double>& weights,
                                  const std::vector<double>& progress) {
  double total = 0;
  double weighted = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    total += weights[i];
    weighted += weights[i] * progress[i];
  }
  std::vector<double> stretches;
  for (const double own : progress) stretches.push_back(weighted / total / own);
  return stretches;
}

}  // namespace consilium
