#include "common/metrics/report_text.h"

#include <nlohmann/json.hpp>

#include "common/metrics/temperature.h"

namespace consilium {
namespace {

using Json = nlohmann::ordered_json;

Json OrNull(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }
Json OrNull(const std::optional<Interval>& value) {
  return value ? Json{value->low, value->high} : Json(nullptr);
}

Json OrNull(const std::optional<OperatingPoint>& point) {
  if (!point) return nullptr;
  return {{"threshold", point->threshold},
          {"sensitivity", point->sensitivity},
          {"specificity", point->specificity},
          {"precision", OrNull(point->precision)}};
}

std::string Text(const std::optional<double>& value) {
  return value ? fmt::format("{:.3f}", *value) : "-";
}
std::string Text(const std::optional<Interval>& value) {
  return value ? fmt::format("{:.3f}-{:.3f}", value->low, value->high) : "-";
}

std::string PairName(const std::vector<std::string>& classes, std::size_t one, std::size_t other) {
  return fmt::format("{} against {}", classes[one], classes[other]);
}

}  // namespace

Json ReportToJson(const Evaluation& evaluation, const std::vector<std::string>& classes) {
  const Report report = Summarise(evaluation);
  Json json = {{"examples", report.examples},
               {"loss", OrNull(report.loss)},
               {"accuracy", OrNull(report.accuracy)},
               {"accuracy_ci95", OrNull(report.accuracy_ci)},
               {"balanced_accuracy", OrNull(report.balanced_accuracy)},
               {"macro_f1", OrNull(report.macro_f1)},
               {"kappa", OrNull(report.kappa)},
               {"matthews_correlation", OrNull(report.correlation)},
               {"classes", Json::object()},
               {"pairwise_roc_auc", Json::object()},
               {"confusion", Json::array()}};
  for (int c = 0; c < evaluation.classes(); ++c) {
    const std::string& name = classes[static_cast<std::size_t>(c)];
    const ClassReport& one = report.classes[static_cast<std::size_t>(c)];
    json["classes"][name] = {{"support", one.support},
                             {"precision", OrNull(one.precision)},
                             {"recall", OrNull(one.recall)},
                             {"recall_ci95", OrNull(one.recall_ci)},
                             {"specificity", OrNull(one.specificity)},
                             {"f1", OrNull(one.f1)},
                             {"roc_auc", OrNull(one.roc_auc)},
                             {"roc_auc_bound", OrNull(one.roc_auc_bound)},
                             {"average_precision", OrNull(one.average_precision)},
                             {"at_specificity_90", OrNull(one.at_specificity_90)},
                             {"calibration_error", OrNull(one.calibration_error)}};
    Json row = Json::array();
    for (int other = 0; other < evaluation.classes(); ++other) {
      row.push_back(evaluation.confusion(c, other));
      if (other == c) continue;
      const auto auc = PairwiseAuc(evaluation, c, other);
      if (auc) {
        json["pairwise_roc_auc"][PairName(classes, static_cast<std::size_t>(c),
                                          static_cast<std::size_t>(other))] = *auc;
      }
    }
    json["confusion"].push_back(std::move(row));
  }
  return json;
}

Json ReportToJson(const Scores& scores, const std::vector<std::string>& classes) {
  const PatientIntervals intervals = IntervalsByPatient(scores);
  Json by_patient = {{"patients", intervals.patients},
                     {"accuracy_ci95", OrNull(intervals.accuracy)},
                     {"balanced_accuracy_ci95", OrNull(intervals.balanced_accuracy)},
                     {"classes", Json::object()},
                     {"pairwise_roc_auc_ci95", Json::object()}};
  for (std::size_t c = 0; c < classes.size(); ++c) {
    const ClassIntervals& one = intervals.classes[c];
    by_patient["classes"][classes[c]] = {{"recall_ci95", OrNull(one.recall)},
                                         {"specificity_ci95", OrNull(one.specificity)},
                                         {"roc_auc_ci95", OrNull(one.roc_auc)},
                                         {"average_precision_ci95", OrNull(one.average_precision)}};
    for (std::size_t other = 0; other < classes.size(); ++other) {
      if (!one.roc_auc_against[other]) continue;
      by_patient["pairwise_roc_auc_ci95"][PairName(classes, c, other)] =
          OrNull(one.roc_auc_against[other]);
    }
  }
  Json json = ReportToJson(Count(scores), classes);
  json["by_patient"] = std::move(by_patient);
  // What the fit is worth is told on images that it did not see.
  const Report fitted = Summarise(Count(CrossFitTemperature(scores)));
  json["temperature"] = {{"value", FitTemperature(scores)},
                         {"loss_cross_fitted", OrNull(fitted.loss)}};
  return json;
}

Json BreakdownsToJson(const std::vector<Breakdown>& breakdowns) {
  Json json = Json::array();
  for (const Breakdown& breakdown : breakdowns) {
    Json groups = Json::object();
    for (const GroupFigures& group : breakdown.groups) {
      groups[group.name] = {{"images", group.images ? Json(*group.images) : Json(nullptr)},
                            {"patients", group.patients ? Json(*group.patients) : Json(nullptr)},
                            {"accuracy", OrNull(group.accuracy)},
                            {"accuracy_ci95", OrNull(group.accuracy_ci)},
                            {"balanced_accuracy", OrNull(group.balanced_accuracy)}};
    }
    json.push_back({{"by", breakdown.by}, {"groups", groups}});
  }
  return json;
}

std::string ReportToText(const Evaluation& evaluation, const std::vector<std::string>& classes) {
  const Report report = Summarise(evaluation);
  std::string text = fmt::format("{} images, loss {}, accuracy {} (95% {}), balanced accuracy {}\n",
                                 report.examples, Text(report.loss), Text(report.accuracy),
                                 Text(report.accuracy_ci), Text(report.balanced_accuracy));
  // sens@90: the sensitivity where the specificity is at least 0.9. ECE: the calibration error.
  text += fmt::format(
      "{:<12}{:>8}{:>10}{:>13}{:>14}{:>12}{:>8}{:>9}{:>9}{:>9}{:>7}   predicted as ({})\n", "class",
      "images", "precision", "sensitivity", "95%", "specificity", "F1", "ROC-AUC", "avg.prec",
      "sens@90", "ECE", fmt::join(classes, ", "));
  for (int c = 0; c < evaluation.classes(); ++c) {
    const ClassReport& one = report.classes[static_cast<std::size_t>(c)];
    const auto sensitivity =
        one.at_specificity_90 ? std::optional(one.at_specificity_90->sensitivity) : std::nullopt;
    text += fmt::format("{:<12}{:>8}{:>10}{:>13}{:>14}{:>12}{:>8}{:>9}{:>9}{:>9}{:>7}  ",
                        classes[static_cast<std::size_t>(c)], one.support, Text(one.precision),
                        Text(one.recall), Text(one.recall_ci), Text(one.specificity), Text(one.f1),
                        Text(one.roc_auc), Text(one.average_precision), Text(sensitivity),
                        Text(one.calibration_error));
    for (int other = 0; other < evaluation.classes(); ++other) {
      text += fmt::format(" {:>5}", evaluation.confusion(c, other));
    }
    text += '\n';
  }
  return text;
}

std::string ReportToText(const Scores& scores, const std::vector<std::string>& classes) {
  const PatientIntervals intervals = IntervalsByPatient(scores);
  std::string text = ReportToText(Count(scores), classes);
  text +=
      fmt::format("95% by drawing {} patients: accuracy {}, balanced accuracy {}\n",
                  intervals.patients, Text(intervals.accuracy), Text(intervals.balanced_accuracy));
  for (std::size_t c = 0; c < classes.size(); ++c) {
    const ClassIntervals& one = intervals.classes[c];
    text += fmt::format("  {:<12}sensitivity {}  specificity {}  ROC-AUC {}\n", classes[c],
                        Text(one.recall), Text(one.specificity), Text(one.roc_auc));
  }
  return text;
}

}  // namespace consilium
