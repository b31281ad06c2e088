#include "common/metrics/report.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace consilium {
namespace {

std::optional<double> Ratio(std::uint64_t part, std::uint64_t whole) {
  if (whole == 0) return std::nullopt;
  return static_cast<double>(part) / static_cast<double>(whole);
}

// Of the confusion matrix as a whole: what the agreement exceeds chance by.
struct Agreement {
  std::optional<double> kappa;
  std::optional<double> correlation;
};

Agreement AgreementOf(const Evaluation& evaluation) {
  const auto n = static_cast<double>(evaluation.examples());
  double hits = 0;
  double by_chance = 0;  // sum of p_k t_k, over predictions and truths
  double predicted_2 = 0;
  double truth_2 = 0;
  for (int c = 0; c < evaluation.classes(); ++c) {
    double predicted = 0;
    double truth = 0;
    for (int other = 0; other < evaluation.classes(); ++other) {
      predicted += static_cast<double>(evaluation.confusion(other, c));
      truth += static_cast<double>(evaluation.confusion(c, other));
    }
    hits += static_cast<double>(evaluation.confusion(c, c));
    by_chance += predicted * truth;
    predicted_2 += predicted * predicted;
    truth_2 += truth * truth;
  }
  Agreement agreement;
  if (n * n > by_chance) agreement.kappa = (n * hits - by_chance) / (n * n - by_chance);
  const double spread = (n * n - predicted_2) * (n * n - truth_2);
  if (spread > 0) agreement.correlation = (n * hits - by_chance) / std::sqrt(spread);
  return agreement;
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
  report.roc_auc_bound = RocAucBound(counts);
  report.average_precision = AveragePrecision(counts);
  report.at_specificity_90 = AtSpecificity(counts, 0.9);
  report.calibration_error = CalibrationError(counts);
  return report;
}

}  // namespace

Report Summarise(const Evaluation& evaluation) {
  Report report;
  report.examples = evaluation.examples();
  std::uint64_t hits = 0;
  double recall_sum = 0;
  double f1_sum = 0;
  int present = 0;
  for (int c = 0; c < evaluation.classes(); ++c) {
    report.classes.push_back(SummariseClass(evaluation, c));
    hits += evaluation.confusion(c, c);
    if (report.classes.back().recall) {
      recall_sum += *report.classes.back().recall;
      f1_sum += *report.classes.back().f1;
      ++present;
    }
  }
  if (report.examples == 0) return report;
  report.loss = evaluation.loss_sum() / static_cast<double>(report.examples);
  report.accuracy = Ratio(hits, report.examples);
  report.accuracy_ci = WilsonInterval(hits, report.examples);
  report.balanced_accuracy = recall_sum / present;
  report.macro_f1 = f1_sum / present;
  const Agreement agreement = AgreementOf(evaluation);
  report.kappa = agreement.kappa;
  report.correlation = agreement.correlation;
  return report;
}

StatusOr<double> Goodness(const Report& report, const std::vector<std::string>& classes,
                          const std::string& name) {
  using OfAll = std::optional<double> Report::*;
  using OfClass = std::optional<double> ClassReport::*;
  static const std::map<std::string, OfAll> all = {
      {"accuracy", &Report::accuracy},
      {"balanced_accuracy", &Report::balanced_accuracy},
      {"macro_f1", &Report::macro_f1},
      {"kappa", &Report::kappa},
      {"matthews_correlation", &Report::correlation},
      {"loss", &Report::loss}};
  static const std::map<std::string, OfClass> by_class = {
      {"roc_auc", &ClassReport::roc_auc},
      {"recall", &ClassReport::recall},
      {"specificity", &ClassReport::specificity},
      {"average_precision", &ClassReport::average_precision}};
  const auto colon = name.find(':');
  std::optional<double> value;
  if (const auto found = all.find(name); found != all.end()) {
    value = report.*found->second;
  } else {
    const auto figure = by_class.find(name.substr(0, colon));
    const auto owner = colon == std::string::npos
                           ? classes.end()
                           : std::ranges::find(classes, name.substr(colon + 1));
    if (figure == by_class.end() || owner == classes.end()) {
      const auto keys = [](const auto& figures) {
        std::vector<std::string> names;
        for (const auto& entry : figures) names.push_back(entry.first);
        return names;
      };
      return InvalidArgument(
          "no figure is called '{}', want one of: {}; or {}, each with :CLASS ({})", name,
          fmt::join(keys(all), ", "), fmt::join(keys(by_class), ", "), fmt::join(classes, ", "));
    }
    value = report.classes[static_cast<std::size_t>(owner - classes.begin())].*figure->second;
  }
  if (!value) return FailedPrecondition("these images do not define '{}'", name);
  return name == "loss" ? -*value : *value;
}

std::optional<double> PairwiseAuc(const Evaluation& evaluation, int positive, int negative) {
  return RocAuc(OneAgainstOne(evaluation, positive, negative));
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
