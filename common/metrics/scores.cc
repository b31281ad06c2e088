#include "common/metrics/scores.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "common/base/random.h"

namespace consilium {
namespace {

void AddImage(const Scores& scores, std::size_t image, Evaluation& evaluation) {
  const auto row = scores.row(image);
  const auto label = static_cast<std::size_t>(scores.labels[image]);
  evaluation.Add(row, static_cast<int>(label),
                 -std::log(std::max(row[label], kSmallestProbability)));
}

// The value below which this share of a sorted list lies, between its neighbours in proportion.
double Percentile(const std::vector<double>& sorted, double share) {
  const double place = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return std::lerp(sorted[below], sorted[above], place - static_cast<double>(below));
}

std::vector<std::vector<std::size_t>> ImagesOfPatients(const Scores& scores) {
  std::map<std::int64_t, std::vector<std::size_t>> patients;
  for (std::size_t i = 0; i < scores.size(); ++i) patients[scores.patients[i]].push_back(i);
  std::vector<std::vector<std::size_t>> groups;
  groups.reserve(patients.size());
  for (auto& [patient, images] : patients) groups.push_back(std::move(images));
  return groups;
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
  const auto patients = ImagesOfPatients(scores);
  if (patients.empty()) return {figures(Evaluation(scores.classes)).size(), std::nullopt};
  Random random(seed);
  std::vector<std::vector<double>> values;  // by figure, of each draw that defined it
  for (int draw = 0; draw < draws; ++draw) {
    Evaluation evaluation(scores.classes);
    for (std::size_t n = 0; n < patients.size(); ++n) {
      for (const std::size_t image : patients[random.Below(patients.size())]) {
        AddImage(scores, image, evaluation);
      }
    }
    const auto drawn = figures(evaluation);
    values.resize(drawn.size());
    for (std::size_t f = 0; f < drawn.size(); ++f) {
      if (drawn[f]) values[f].push_back(*drawn[f]);
    }
  }
  std::vector<std::optional<Interval>> intervals;
  for (std::vector<double>& one : values) {
    if (static_cast<double>(one.size()) <= 0.95 * draws) {
      intervals.emplace_back();
      continue;
    }
    std::ranges::sort(one);
    intervals.push_back(Interval{Percentile(one, 0.025), Percentile(one, 0.975)});
  }
  return intervals;
}

PatientIntervals IntervalsByPatient(const Scores& scores) {
  const auto all = BootstrapByPatient(scores, LeadingFigures);
  auto next = all.begin();
  PatientIntervals intervals;
  intervals.patients = ImagesOfPatients(scores).size();
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
