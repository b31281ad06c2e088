#include "server/aggregate/krum.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "common/base/parallel.h"
#include "common/model/model_state.h"
#include "common/model/part.h"

namespace consilium {

void KrumDistances::Add(const Layout& layout, std::span<const WeightedUpdate> updates,
                        std::size_t begin, std::size_t end, std::span<const std::size_t> places) {
  std::vector<std::pair<std::size_t, std::size_t>> pairs;
  for (std::size_t i = 0; i < updates.size(); ++i) {
    for (std::size_t j = i + 1; j < updates.size(); ++j) pairs.emplace_back(i, j);
  }
  const auto parts = TensorsIn(layout, begin, end, places);
  OnAllCores(pairs.size(), [&](std::size_t k) {
    const auto [i, j] = pairs[k];
    for (const TensorPart& part : parts) {
      const TensorRole role = layout.tensors()[part.tensor].role;
      if (role != TensorRole::kParameter || part.place == kNowhere) continue;
      squares_[i][j] += SquaredChange(updates[i].at(part.place, part.size()),
                                      updates[j].at(part.place, part.size()));
    }
    squares_[j][i] = squares_[i][j];
  });
}

std::size_t KrumDistances::Choice() const {
  const std::size_t may_be_wrong = (squares_.size() - 3) / 2;
  std::vector<double> scores;
  for (std::size_t i = 0; i < squares_.size(); ++i) {
    std::vector<double> to_others = squares_[i];
    to_others.erase(to_others.begin() + static_cast<std::ptrdiff_t>(i));
    std::ranges::sort(to_others);
    to_others.resize(squares_.size() - may_be_wrong - 2);
    scores.push_back(std::accumulate(to_others.begin(), to_others.end(), 0.0));
  }
  return static_cast<std::size_t>(std::ranges::min_element(scores) - scores.begin());
}

}  // namespace consilium
