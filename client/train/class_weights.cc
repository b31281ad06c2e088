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
  for (std::uint64_t& count : counts) count = count < kSmallestGroup ? 0 : count;
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
