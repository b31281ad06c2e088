#include "common/metrics/curves.h"

#include <cmath>
#include <numeric>

namespace consilium {
namespace {

constexpr std::size_t kBins = Evaluation::kBins;

double Sum(const std::array<double, kBins>& counts) {
  return std::accumulate(counts.begin(), counts.end(), 0.0);
}

void AddClass(const Evaluation& evaluation, int positive, int truth,
              std::array<double, kBins>& counts) {
  for (int bin = 0; bin < Evaluation::kBins; ++bin) {
    counts[static_cast<std::size_t>(bin)] +=
        static_cast<double>(evaluation.histogram(positive, truth, bin));
  }
}

}  // namespace

ScoreCounts OneAgainstRest(const Evaluation& evaluation, int positive) {
  ScoreCounts counts;
  for (int truth = 0; truth < evaluation.classes(); ++truth) {
    AddClass(evaluation, positive, truth, truth == positive ? counts.positives : counts.negatives);
  }
  return counts;
}

ScoreCounts OneAgainstOne(const Evaluation& evaluation, int positive, int negative) {
  ScoreCounts counts;
  AddClass(evaluation, positive, positive, counts.positives);
  AddClass(evaluation, positive, negative, counts.negatives);
  return counts;
}

std::optional<double> RocAuc(const ScoreCounts& counts) {
  double negatives_below = 0;
  double wins = 0;
  for (std::size_t bin = 0; bin < kBins; ++bin) {
    wins += counts.positives[bin] * (negatives_below + counts.negatives[bin] / 2);
    negatives_below += counts.negatives[bin];
  }
  const double pairs = Sum(counts.positives) * negatives_below;
  if (pairs == 0) return std::nullopt;
  return wins / pairs;
}

std::optional<double> RocAucBound(const ScoreCounts& counts) {
  double ties = 0;
  for (std::size_t bin = 0; bin < kBins; ++bin) {
    ties += counts.positives[bin] * counts.negatives[bin];
  }
  const double pairs = Sum(counts.positives) * Sum(counts.negatives);
  if (pairs == 0) return std::nullopt;
  return ties / pairs / 2;
}

std::optional<double> AveragePrecision(const ScoreCounts& counts) {
  double true_positives = 0;
  double predicted = 0;
  double sum = 0;
  for (std::size_t bin = kBins; bin-- > 0;) {
    true_positives += counts.positives[bin];
    predicted += counts.positives[bin] + counts.negatives[bin];
    if (counts.positives[bin] > 0) sum += counts.positives[bin] * true_positives / predicted;
  }
  if (true_positives == 0) return std::nullopt;
  return sum / true_positives;
}

std::vector<OperatingPoint> Curve(const ScoreCounts& counts) {
  const double positives = Sum(counts.positives);
  const double negatives = Sum(counts.negatives);
  if (positives == 0 || negatives == 0) return {};
  std::vector<OperatingPoint> points = {
      {.threshold = 1, .sensitivity = 0, .specificity = 1, .precision = {}}};
  double hits = 0;
  double false_alarms = 0;
  for (std::size_t bin = kBins; bin-- > 0;) {
    hits += counts.positives[bin];
    false_alarms += counts.negatives[bin];
    OperatingPoint& point = points.emplace_back();
    point.threshold = static_cast<double>(bin) / kBins;
    point.sensitivity = hits / positives;
    point.specificity = 1 - false_alarms / negatives;
    if (hits + false_alarms > 0) point.precision = hits / (hits + false_alarms);
  }
  return points;
}

std::optional<OperatingPoint> AtSpecificity(const ScoreCounts& counts, double specificity) {
  std::optional<OperatingPoint> best;
  for (const OperatingPoint& point : Curve(counts)) {
    if (point.specificity < specificity) break;
    // Of two that catch as many, the first: its threshold is the higher one.
    if (!best || point.sensitivity > best->sensitivity) best = point;
  }
  return best;
}

std::vector<ReliabilityBin> Reliability(const ScoreCounts& counts, int bins) {
  const std::size_t width = kBins / static_cast<std::size_t>(bins);
  std::vector<ReliabilityBin> ranges;
  for (std::size_t begin = 0; begin < kBins; begin += width) {
    ReliabilityBin& range = ranges.emplace_back();
    for (std::size_t bin = begin; bin < begin + width; ++bin) {
      const double centre = (static_cast<double>(bin) + 0.5) / kBins;
      const double examples = counts.positives[bin] + counts.negatives[bin];
      range.examples += examples;
      range.probability += centre * examples;
      range.positives += counts.positives[bin];
    }
  }
  return ranges;
}

std::optional<double> CalibrationError(const ScoreCounts& counts, int bins) {
  double examples = 0;
  double error = 0;
  for (const ReliabilityBin& range : Reliability(counts, bins)) {
    examples += range.examples;
    error += std::abs(range.probability - range.positives);
  }
  if (examples == 0) return std::nullopt;
  return error / examples;
}

}  // namespace consilium
