#include "common/metrics/scores.h"

#include <algorithm>
#include <cmath>

#include "common/metrics/bootstrap.h"

namespace consilium {
namespace {

void AddImage(const Scores& scores, std::size_t image, Evaluation& evaluation) {
  const auto row = scores.row(image);
  const auto label = static_cast<std::size_t>(scores.labels[image]);
  evaluation.Add(row, static_cast<int>(label),
                 -std::log(std::max(row[label], kSmallestProbability)));
}

// In the order in which IntervalsByPatient takes them apart.
std::vector<std::optional<double>> LeadingFigures(const Evaluation& evaluation) {
  const Report report = Summarise(evaluation);
  std::vector<std::optional<double>> figures = {report.accuracy, report.balanced_accuracy};
  for (int c = 0; c < evaluation.classes(); ++c) {
    const ClassReport& one = report.classes[static_cast<std::size_t>(c)];
    figures.insert(figures.end(),
                   {one.recall, one.specificity, one.roc_auc, one.average_precision});
    for (int other = 0; other < evaluation.classes(); ++other) {
      figures.push_back(other == c ? std::nullopt : PairwiseAuc(evaluation, c, other));
    }
  }
  return figures;
}

}  // namespace

Evaluation Count(const Scores& scores) {
  Evaluation evaluation(scores.classes);
  for (std::size_t i = 0; i < scores.size(); ++i) AddImage(scores, i, evaluation);
  return evaluation;
}

Scores Choose(const Scores& scores, const std::vector<std::size_t>& images) {
  Scores chosen{.classes = scores.classes};
  for (const std::size_t i : images) {
    const auto row = scores.row(i);
    chosen.probabilities.insert(chosen.probabilities.end(), row.begin(), row.end());
    chosen.labels.push_back(scores.labels[i]);
    chosen.patients.push_back(scores.patients[i]);
  }
  return chosen;
}

std::vector<std::optional<Interval>> BootstrapByPatient(const Scores& scores,
                                                        const Figures& figures, int draws,
                                                        std::uint64_t seed) {
  const FiguresOf of_images = [&](const std::vector<std::size_t>& images) {
    Evaluation evaluation(scores.classes);
    for (const std::size_t image : images) AddImage(scores, image, evaluation);
    return figures(evaluation);
  };
  return Bootstrap(GroupByPatient(scores.patients), of_images, draws, seed);
}

PatientIntervals IntervalsByPatient(const Scores& scores) {
  const auto all = BootstrapByPatient(scores, LeadingFigures);
  auto next = all.begin();
  PatientIntervals intervals;
  intervals.patients = GroupByPatient(scores.patients).size();
  intervals.accuracy = *next++;
  intervals.balanced_accuracy = *next++;
  for (int c = 0; c < scores.classes; ++c) {
    ClassIntervals& one = intervals.classes.emplace_back();
    one.recall = *next++;
    one.specificity = *next++;
    one.roc_auc = *next++;
    one.average_precision = *next++;
    one.roc_auc_against.assign(next, next + scores.classes);
    next += scores.classes;
  }
  return intervals;
}

}  // namespace consilium
