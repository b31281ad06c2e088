#include "common/metrics/report_text.h"

#include <nlohmann/json.hpp>

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
      const std::string pair =
          fmt::format("{} against {}", name, classes[static_cast<std::size_t>(other)]);
      if (auc) json["pairwise_roc_auc"][pair] = *auc;
    }
    json["confusion"].push_back(std::move(row));
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

}  // namespace consilium
