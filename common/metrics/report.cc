#include "common/metrics/report.h"

#include <cmath>

namespace consilium {
namespace {

// Examples per score bin, positives and negatives apart.
struct ScoreCounts {
  std::vector<double> positives = std::vector<double>(Evaluation::kBins);
  std::vector<double> negatives = std::vector<double>(Evaluation::kBins);
};

std::optional<double> Ratio(std::uint64_t part, std::uint64_t whole) {
  if (whole == 0) return std::nullopt;
  return static_cast<double>(part) / static_cast<double>(whole);
}

ScoreCounts OneAgainstRest(const Evaluation& evaluation, int positive) {
  ScoreCounts counts;
  for (int truth = 0; truth < evaluation.classes(); ++truth) {
    auto& side = truth == positive ? counts.positives : counts.negatives;
    for (int bin = 0; bin < Evaluation::kBins; ++bin) {
      side[static_cast<std::size_t>(bin)] +=
          static_cast<double>(evaluation.histogram(positive, truth, bin));
    }
  }
  return counts;
}

// The chance that a positive scores above a negative, ties counting half: the trapezoidal area
// under the ROC curve whose points are the bins' edges (Hanley and McNeil 1982).
std::optional<double> RocAuc(const ScoreCounts& counts) {
  double negatives_below = 0;
  double wins = 0;
  double positives = 0;
  for (std::size_t bin = 0; bin < counts.positives.size(); ++bin) {
    wins += counts.positives[bin] * (negatives_below + counts.negatives[bin] / 2);
    negatives_below += counts.negatives[bin];
    positives += counts.positives[bin];
  }
  if (positives == 0 || negatives_below == 0) return std::nullopt;
  return wins / (positives * negatives_below);
}

// Sum over thresholds of (recall step) x precision, from the highest score down.
std::optional<double> AveragePrecision(const ScoreCounts& counts) {
  double true_positives = 0;
  double predicted = 0;
  double sum = 0;
  for (std::size_t bin = counts.positives.size(); bin-- > 0;) {
    true_positives += counts.positives[bin];
    predicted += counts.positives[bin] + counts.negatives[bin];
    if (counts.positives[bin] > 0) sum += counts.positives[bin] * true_positives / predicted;
  }
  if (true_positives == 0) return std::nullopt;
  return sum / true_positives;
}

ClassReport SummariseClass(const Evaluation& evaluation, int positive) {
  std::uint64_t predicted = 0;
  ClassReport report;
  for (int other = 0; other < evaluation.classes(); ++other) {
    report.support += evaluation.confusion(positive, other);
    predicted += evaluation.confusion(other, positive);
  }
  const std::uint64_t hits = evaluation.confusion(positive, positive);
  const std::uint64_t negatives = evaluation.examples() - report.support;
  report.precision = Ratio(hits, predicted);
  report.recall = Ratio(hits, report.support);
  if (report.recall) report.recall_ci = WilsonInterval(hits, report.support);
  report.specificity = Ratio(negatives - (predicted - hits), negatives);
  report.f1 = Ratio(2 * hits, report.support + predicted);
  const ScoreCounts counts = OneAgainstRest(evaluation, positive);
  report.roc_auc = RocAuc(counts);
  report.average_precision = AveragePrecision(counts);
  return report;
}

}  // namespace

Report Summarise(const Evaluation& evaluation) {
  Report report;
  report.examples = evaluation.examples();
  std::uint64_t hits = 0;
  double recall_sum = 0;
  int present = 0;
  for (int c = 0; c < evaluation.classes(); ++c) {
    report.classes.push_back(SummariseClass(evaluation, c));
    hits += evaluation.confusion(c, c);
    if (report.classes.back().recall) {
      recall_sum += *report.classes.back().recall;
      ++present;
    }
  }
  if (report.examples == 0) return report;
  report.loss = evaluation.loss_sum() / static_cast<double>(report.examples);
  report.accuracy = Ratio(hits, report.examples);
  report.accuracy_ci = WilsonInterval(hits, report.examples);
  report.balanced_accuracy = recall_sum / present;
  return report;
}

std::optional<double> PairwiseAuc(const Evaluation& evaluation, int positive, int negative) {
  ScoreCounts counts;
  for (int bin = 0; bin < Evaluation::kBins; ++bin) {
    const auto i = static_cast<std::size_t>(bin);
    counts.positives[i] = static_cast<double>(evaluation.histogram(positive, positive, bin));
    counts.negatives[i] = static_cast<double>(evaluation.histogram(positive, negative, bin));
  }
  return RocAuc(counts);
}

Interval WilsonInterval(std::uint64_t successes, std::uint64_t trials) {
  if (trials == 0) return {0, 1};
  constexpr double kZ = 1.959963984540054;  // the normal's 97.5% quantile
  const auto n = static_cast<double>(trials);
  const double p = static_cast<double>(successes) / n;
  const double centre = p + kZ * kZ / (2 * n);
  const double half = kZ * std::sqrt(p * (1 - p) / n + kZ * kZ / (4 * n * n));
  const double scale = 1 + kZ * kZ / n;
  return {std::max(0.0, (centre - half) / scale), std::min(1.0, (centre + half) / scale)};
}

}  // namespace consilium
