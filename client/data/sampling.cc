#include "client/data/sampling.h"

#include <map>
#include <numeric>

namespace consilium {
namespace {

std::vector<std::size_t> DrawBalanced(std::span<const std::int64_t> groups, Random& random) {
  std::map<std::int64_t, std::vector<std::size_t>> members;
  for (std::size_t i = 0; i < groups.size(); ++i) members[groups[i]].push_back(i);
  std::vector<std::vector<std::size_t>*> turns;
  for (auto& [name, images] : members) turns.push_back(&images);
  random.Shuffle(turns);  // who gives one more is drawn, too

  std::vector<std::size_t> order;
  order.reserve(groups.size());
  for (std::size_t lap = 0; order.size() < groups.size(); ++lap) {
    for (std::vector<std::size_t>* images : turns) {
      if (order.size() == groups.size()) break;
      if (lap % images->size() == 0) random.Shuffle(*images);
      order.push_back((*images)[lap % images->size()]);
    }
  }
  random.Shuffle(order);
  return order;
}

}  // namespace

std::vector<std::size_t> DrawEpoch(Sampling sampling, std::span<const std::int64_t> labels,
                                   std::span<const std::int64_t> patients, Random random) {
  if (sampling == Sampling::kClassBalanced) return DrawBalanced(labels, random);
  if (sampling == Sampling::kPatientBalanced) return DrawBalanced(patients, random);
  std::vector<std::size_t> order(labels.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (sampling == Sampling::kShuffled) random.Shuffle(order);
  return order;
}

}  // namespace consilium
