#include "server/aggregate/krum.h"

#include <algorithm>
#include <atomic>
#include <numeric>
#include <thread>
#include <utility>
#include <vector>

#include "common/model/model_state.h"

namespace consilium {

std::size_t KrumChoice(const Layout& layout, std::span<const WeightedUpdate> updates) {
  const std::size_t n = updates.size();
  std::vector<std::vector<double>> distances(n, std::vector<double>(n));  // squared
  std::vector<std::pair<std::size_t, std::size_t>> pairs;
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = i + 1; j < n; ++j) pairs.emplace_back(i, j);
  }
  std::atomic<std::size_t> next = 0;
  {
    std::vector<std::jthread> threads;
    const std::size_t cores = std::max(1U, std::thread::hardware_concurrency());
    for (std::size_t t = 0; t < std::min(cores, pairs.size()); ++t) {
      threads.emplace_back([&] {
        for (std::size_t k = next++; k < pairs.size(); k = next++) {
          const auto [i, j] = pairs[k];
          const double norm = NormOfChange(layout, updates[i].values, updates[j].values);
          distances[i][j] = distances[j][i] = norm * norm;
        }
      });
    }
  }
  const std::size_t may_be_wrong = (n - 3) / 2;
  std::vector<double> scores;
  for (std::size_t i = 0; i < n; ++i) {
    std::vector<double> to_others = distances[i];
    to_others.erase(to_others.begin() + static_cast<std::ptrdiff_t>(i));
    std::ranges::sort(to_others);
    to_others.resize(n - may_be_wrong - 2);
    scores.push_back(std::accumulate(to_others.begin(), to_others.end(), 0.0));
  }
  return static_cast<std::size_t>(std::ranges::min_element(scores) - scores.begin());
}

}  // namespace consilium
