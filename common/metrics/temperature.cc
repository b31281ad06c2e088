#include "common/metrics/temperature.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <set>

namespace consilium {
namespace {

// softmax(log(p) / temperature), into `out`.
void Soften(std::span<const float> p, double temperature, std::span<float> out) {
  double sum = 0;
  const float largest = std::max(*std::ranges::max_element(p), kSmallestProbability);
  for (std::size_t c = 0; c < p.size(); ++c) {
    const double ratio = std::max(p[c], kSmallestProbability) / static_cast<double>(largest);
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
    const double largest = std::log(std::max(*std::ranges::max_element(row), kSmallestProbability));
    double sum = 0;
    for (const float p : row) {
      sum += std::exp((std::log(std::max(p, kSmallestProbability)) - largest) / temperature);
    }
    const auto own = static_cast<double>(row[static_cast<std::size_t>(scores.labels[i])]);
    loss += std::log(sum) -
            (std::log(std::max(own, static_cast<double>(kSmallestProbability))) - largest) /
                temperature;
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
  const auto half_of = [&](std::size_t i) { return first.contains(scores.patients[i]) ? 0 : 1; };
  std::vector<std::size_t> halves[2];
  for (std::size_t i = 0; i < scores.size(); ++i) halves[half_of(i)].push_back(i);
  const double temperature[2] = {FitTemperature(Choose(scores, halves[0])),
                                 FitTemperature(Choose(scores, halves[1]))};
  Scores fitted = scores;
  const auto width = static_cast<std::size_t>(scores.classes);
  for (std::size_t i = 0; i < scores.size(); ++i) {
    Soften(scores.row(i), temperature[1 - half_of(i)],
           std::span(fitted.probabilities).subspan(i * width, width));
  }
  return fitted;
}

}  // namespace consilium
