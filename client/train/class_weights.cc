#include "client/train/class_weights.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/metrics/breakdown.h"

namespace consilium {
namespace {

constexpr double kBeta = 0.999;

double RawWeight(const std::string& method, std::uint64_t count) {
  const auto n = static_cast<double>(count);
  return method == "inverse" ? 1.0 / n : (1.0 - kBeta) / (1.0 - std::pow(kBeta, n));
}

}  // namespace

StatusOr<std::vector<float>> ClassWeights(const std::string& method,
                                          const std::vector<std::uint64_t>& counts) {
  if (method == "none") return std::vector<float>();
  if (method != "inverse" && method != "effective") {
    return InvalidArgument("class weights '{}', want one of: none, inverse, effective", method);
  }
  std::vector<double> raw;
  double weighted_examples = 0;
  for (const std::uint64_t count : counts) {
    raw.push_back(count == 0 ? 0.0 : RawWeight(method, count));
    weighted_examples += raw.back() * static_cast<double>(count);
  }
  const std::uint64_t total = std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
  std::vector<float> weights;
  for (const double weight : raw) {
    weights.push_back(static_cast<float>(weight * static_cast<double>(total) / weighted_examples));
  }
  return weights;
}

std::vector<std::uint64_t> CountsToTell(std::vector<std::uint64_t> counts) {
  const auto is_small = [](std::uint64_t count) { return count > 0 && count < kSmallestGroup; };
  const bool hides_one = std::ranges::count_if(counts, is_small) == 1;
  for (std::uint64_t& count : counts) count = is_small(count) ? 0 : count;
  // The total is told beside them: a single number that is missing would be the rest.
  if (!hides_one) return counts;
  auto least = counts.end();
  for (auto count = counts.begin(); count != counts.end(); ++count) {
    if (*count > 0 && (least == counts.end() || *count < *least)) least = count;
  }
  if (least != counts.end()) *least = 0;
  return counts;
}

std::vector<std::uint64_t> CountsToWeighBy(const std::vector<std::uint64_t>& own,
                                           const std::vector<std::uint64_t>& told) {
  std::vector<std::uint64_t> counts = own;
  for (std::size_t c = 0; c < counts.size() && c < told.size(); ++c) {
    counts[c] = std::max(counts[c], told[c]);
  }
  return counts;
}

}  // namespace consilium
