#include "common/metrics/temperature.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <set>

namespace consilium {
namespace {

constexpr float kSmallest = 1e-12F;  // a probability whose logarithm is finite

// softmax(log(p) / temperature), into `out`.
void Soften(std::span<const float> p, double temperature, std::span<float> out) {
  double sum = 0;
  const float largest = std::max(*std::ranges::max_element(p), kSmallest);
  for (std::size_t c = 0; c < p.size(); ++c) {
    const double ratio = std::max(p[c], kSmallest) / static_cast<double>(largest);
    const double value = std::pow(ratio, 1 / temperature);
    out[c] = static_cast<float>(value);
    sum += value;
  }
  for (float& value : out) value = static_cast<float>(value / sum);
}

// In float64 and without a floor: what rounds to a probability of 0 or 1 would leave flat places,
// in which no search finds its way.
double LossAt(const Scores& scores, double temperature) {
  double loss = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const auto row = scores.row(i);
    const double largest = std::log(std::max(*std::ranges::max_element(row), kSmallest));
    double sum = 0;
    for (const float p : row) {
      sum += std::exp((std::log(std::max(p, kSmallest)) - largest) / temperature);
    }
    const auto own = static_cast<double>(row[static_cast<std::size_t>(scores.labels[i])]);
    loss += std::log(sum) -
            (std::log(std::max(own, static_cast<double>(kSmallest))) - largest) / temperature;
  }
  return loss;
}

}  // namespace

Scores AtTemperature(const Scores& scores, double temperature) {
  Scores softened = scores;
  const auto width = static_cast<std::size_t>(scores.classes);
  for (std::size_t i = 0; i < scores.size(); ++i) {
    Soften(scores.row(i), temperature, std::span(softened.probabilities).subspan(i * width, width));
  }
  return softened;
}

double FitTemperature(const Scores& scores) {
  if (scores.size() == 0) return 1;
  // The loss is convex in 1 / temperature, so it has one valley: golden section.
  double low = 1 / 20.0;
  double high = 1 / 0.05;
  const double share = 1 / std::numbers::phi;
  while (high - low > 1e-4 * low) {
    const double left = high - share * (high - low);
    const double right = low + share * (high - low);
    if (LossAt(scores, 1 / left) <= LossAt(scores, 1 / right)) {
      high = right;
    } else {
      low = left;
    }
  }
  return 2 / (low + high);
}

Scores CrossFitTemperature(const Scores& scores) {
  const std::set<std::int64_t> patients(scores.patients.begin(), scores.patients.end());
  if (patients.size() < 2) return scores;
  // Every second patient, in the order of their numbers.
  std::set<std::int64_t> first;
  bool takes = true;
  for (const std::int64_t patient : patients) {
    if (takes) first.insert(patient);
    takes = !takes;
  }
  const auto in_first = [&](std::size_t i) { return first.contains(scores.patients[i]); };
  Scores halves[2] = {{.classes = scores.classes}, {.classes = scores.classes}};
  for (std::size_t i = 0; i < scores.size(); ++i) {
    Scores& half = halves[in_first(i) ? 0 : 1];
    const auto row = scores.row(i);
    half.probabilities.insert(half.probabilities.end(), row.begin(), row.end());
    half.labels.push_back(scores.labels[i]);
    half.patients.push_back(scores.patients[i]);
  }
  const double temperature[2] = {FitTemperature(halves[0]), FitTemperature(halves[1])};
  Scores fitted = scores;
  const auto width = static_cast<std::size_t>(scores.classes);
  for (std::size_t i = 0; i < scores.size(); ++i) {
    Soften(scores.row(i), temperature[in_first(i) ? 1 : 0],
           std::span(fitted.probabilities).subspan(i * width, width));
  }
  return fitted;
}

}  // namespace consilium
