#include "common/metrics/report_html.h"

#include <fmt/format.h>

#include <map>

#include "common/metrics/page.h"
#include "common/metrics/temperature.h"

namespace consilium {
namespace {

std::string Text(const std::optional<double>& value) {
  return value ? fmt::format("{:.3f}", *value) : "-";
}
std::string Text(const std::optional<Interval>& value) {
  return value ? fmt::format("{:.3f} to {:.3f}", value->low, value->high) : "-";
}
std::string Text(const std::optional<double>& value, const std::optional<Interval>& interval) {
  return interval ? fmt::format("{} ({})", Text(value), Text(interval)) : Text(value);
}

// How sure the network is of itself, and what one number of this hospital's own would mend.
std::string Calibration(const Report& report, const Scores& scores) {
  const Report fitted = Summarise(Count(CrossFitTemperature(scores)));
  return fmt::format(
      "<p>Temperature fitted on these images: {:.3f} (above 1: the network is too sure). "
      "Cross-entropy {}; at the temperature of the other half of the patients {}.</p>\n",
      FitTemperature(scores), Text(report.loss), Text(fitted.loss));
}

// Intervals by patient where there are some; otherwise those of proportions of independent images.
std::string Overall(const Report& report, const PatientIntervals* intervals) {
  return HtmlTable({{"figure", intervals != nullptr ? "value (95%, by drawing patients)"
                                                    : "value (95%, Wilson)"},
                    {"accuracy", Text(report.accuracy, intervals != nullptr ? intervals->accuracy
                                                                            : report.accuracy_ci)},
                    {"balanced accuracy",
                     Text(report.balanced_accuracy,
                          intervals != nullptr ? intervals->balanced_accuracy : std::nullopt)},
                    {"macro F1", Text(report.macro_f1)},
                    {"Cohen's kappa", Text(report.kappa)},
                    {"Matthews correlation", Text(report.correlation)},
                    {"cross-entropy", Text(report.loss)}});
}

std::string ByClass(const Report& report, const PatientIntervals* intervals,
                    const std::vector<std::string>& classes) {
  std::vector<std::vector<std::string>> rows = {{"class", "images", "precision", "sensitivity",
                                                 "specificity", "F1", "ROC-AUC",
                                                 "average precision", "calibration error"}};
  for (std::size_t c = 0; c < classes.size(); ++c) {
    const ClassReport& one = report.classes[c];
    const ClassIntervals interval =
        intervals != nullptr ? intervals->classes[c] : ClassIntervals{.recall = one.recall_ci};
    rows.push_back({classes[c], std::to_string(one.support), Text(one.precision),
                    Text(one.recall, interval.recall), Text(one.specificity, interval.specificity),
                    Text(one.f1), Text(one.roc_auc, interval.roc_auc),
                    Text(one.average_precision, interval.average_precision),
                    Text(one.calibration_error)});
  }
  return HtmlTable(rows);
}

std::string OperatingPoints(const Evaluation& evaluation, const std::vector<std::string>& classes) {
  std::vector<std::vector<std::string>> rows = {
      {"class", "specificity of at least", "threshold", "sensitivity", "specificity", "precision"}};
  for (std::size_t c = 0; c < classes.size(); ++c) {
    const ScoreCounts counts = OneAgainstRest(evaluation, static_cast<int>(c));
    for (const double wanted : {0.8, 0.9, 0.95}) {
      const auto point = AtSpecificity(counts, wanted);
      if (!point) continue;
      rows.push_back({classes[c], fmt::format("{:.2f}", wanted), Text(point->threshold),
                      Text(point->sensitivity), Text(point->specificity), Text(point->precision)});
    }
  }
  return HtmlTable(rows);
}

std::string Confusion(const Evaluation& evaluation, const std::vector<std::string>& classes) {
  std::vector<std::vector<std::string>> rows = {{"is \\ was called"}};
  rows[0].insert(rows[0].end(), classes.begin(), classes.end());
  for (int c = 0; c < evaluation.classes(); ++c) {
    rows.push_back({classes[static_cast<std::size_t>(c)]});
    for (int other = 0; other < evaluation.classes(); ++other) {
      rows.back().push_back(std::to_string(evaluation.confusion(c, other)));
    }
  }
  return HtmlTable(rows);
}

std::string Pairs(const Evaluation& evaluation, const PatientIntervals* intervals,
                  const std::vector<std::string>& classes) {
  std::vector<std::vector<std::string>> rows = {{"of the images of two classes alone", "ROC-AUC"}};
  for (std::size_t c = 0; c < classes.size(); ++c) {
    for (std::size_t other = 0; other < classes.size(); ++other) {
      const auto auc = PairwiseAuc(evaluation, static_cast<int>(c), static_cast<int>(other));
      if (other == c || !auc) continue;
      rows.push_back({fmt::format("{} against {}", classes[c], classes[other]),
                      Text(auc, intervals != nullptr ? intervals->classes[c].roc_auc_against[other]
                                                     : std::nullopt)});
    }
  }
  return HtmlTable(rows);
}

std::string ByGroup(const Breakdown& breakdown) {
  std::vector<std::vector<std::string>> rows = {
      {breakdown.by, "images", "patients", "accuracy (95%)", "balanced accuracy"}};
  for (const GroupFigures& group : breakdown.groups) {
    const std::string few = fmt::format("under {} patients", kSmallestGroup);
    rows.push_back({group.name, group.images ? std::to_string(*group.images) : few,
                    group.patients ? std::to_string(*group.patients) : "-",
                    Text(group.accuracy, group.accuracy_ci), Text(group.balanced_accuracy)});
  }
  return fmt::format("<h2>By {}</h2>\n{}", EscapeMarkup(breakdown.by), HtmlTable(rows));
}

// The line that every report bears.
constexpr char kNote[] =
    "<p class=\"note\">Research use only: these figures describe these images and validate "
    "nothing clinically. In public sets of COVID-19 a class often comes from one source alone, "
    "and a network may tell the sources apart and not the lungs: compare classes within one "
    "source.</p>\n";

std::string Head(const std::string& subject) {
  return fmt::format("<p>{}</p>\n{}", EscapeMarkup(subject), kNote);
}

// What a class's curve is made of.
std::vector<OperatingPoint> CurveOf(const Evaluation& evaluation, std::size_t c) {
  return Curve(OneAgainstRest(evaluation, static_cast<int>(c)));
}

// The parts that every report has.
std::string MainPart(const Evaluation& evaluation, const Report& figures,
                     const PatientIntervals* intervals, const std::vector<std::string>& classes) {
  return "<h2>Overall</h2>\n" + Overall(figures, intervals) + "<h2>By class</h2>\n" +
         ByClass(figures, intervals, classes) + "<h2>Confusion matrix</h2>\n" +
         Confusion(evaluation, classes) + "<h2>Two classes at a time</h2>\n" +
         Pairs(evaluation, intervals, classes) + "<h2>Operating points</h2>\n" +
         OperatingPoints(evaluation, classes) + "<h2>Curves</h2>\n<div class=\"plots\">" +
         ToSvg(RocPlot(evaluation, classes)) + ToSvg(PrecisionRecallPlot(evaluation, classes)) +
         ToSvg(ReliabilityPlot(evaluation, classes)) + "</div>\n";
}

// Balanced accuracy by round: of each site, and of all.
Plot CoursePlot(const HtmlRun& run) {
  Plot plot{.title = "Balanced accuracy", .x = "share of the run's rounds", .y = "", .series = {}};
  std::map<std::string, Series> by_name;
  for (const HtmlRun::Model& model : run.models) {
    const double x = run.rounds > 0 ? static_cast<double>(model.round) / run.rounds : 0;
    const auto add = [&](const std::string& name, const Evaluation& evaluation) {
      const auto y = Summarise(evaluation).balanced_accuracy;
      by_name[name].name = name;
      if (y) by_name[name].points.emplace_back(x, *y);
    };
    for (const HtmlRun::Site& site : model.sites) add(site.name, site.evaluation);
    add("all sites", model.pooled);
  }
  for (auto& [name, series] : by_name) plot.series.push_back(std::move(series));
  return plot;
}

std::string ByRound(const HtmlRun& run) {
  std::vector<std::vector<std::string>> rows = {
      {"round", "sites", "images", "cross-entropy", "accuracy", "balanced accuracy"}};
  for (const HtmlRun::Model& model : run.models) {
    const Report report = Summarise(model.pooled);
    rows.push_back({std::to_string(model.round), std::to_string(model.sites.size()),
                    std::to_string(report.examples), Text(report.loss), Text(report.accuracy),
                    Text(report.balanced_accuracy)});
  }
  return HtmlTable(rows);
}

std::string BySite(const HtmlRun::Model& model, const std::vector<std::string>& classes) {
  std::vector<std::vector<std::string>> rows = {
      {"site", "images", "accuracy (95%, Wilson)", "balanced accuracy"}};
  for (const std::string& name : classes) rows[0].push_back("sensitivity to " + name);
  for (const HtmlRun::Site& site : model.sites) {
    const Report report = Summarise(site.evaluation);
    rows.push_back({site.name, std::to_string(report.examples),
                    Text(report.accuracy, report.accuracy_ci), Text(report.balanced_accuracy)});
    for (const ClassReport& one : report.classes) {
      rows.back().push_back(Text(one.recall, one.recall_ci));
    }
  }
  return HtmlTable(rows);
}

}  // namespace

Plot RocPlot(const Evaluation& evaluation, const std::vector<std::string>& classes) {
  Plot plot{.title = "ROC, each class against the rest",
            .x = "1 - specificity",
            .y = "sensitivity",
            .series = {},
            .has_diagonal = true};
  for (std::size_t c = 0; c < classes.size(); ++c) {
    Series series{classes[c], {}};
    for (const OperatingPoint& point : CurveOf(evaluation, c)) {
      series.points.emplace_back(1 - point.specificity, point.sensitivity);
    }
    if (!series.points.empty()) plot.series.push_back(std::move(series));
  }
  return plot;
}

Plot PrecisionRecallPlot(const Evaluation& evaluation, const std::vector<std::string>& classes) {
  Plot plot{.title = "Precision and recall", .x = "recall", .y = "precision", .series = {}};
  for (std::size_t c = 0; c < classes.size(); ++c) {
    Series series{classes[c], {}};
    for (const OperatingPoint& point : CurveOf(evaluation, c)) {
      if (point.precision) series.points.emplace_back(point.sensitivity, *point.precision);
    }
    if (!series.points.empty()) plot.series.push_back(std::move(series));
  }
  return plot;
}

Plot ReliabilityPlot(const Evaluation& evaluation, const std::vector<std::string>& classes) {
  Plot plot{.title = "Reliability",
            .x = "predicted probability",
            .y = "share that is of the class",
            .series = {},
            .has_diagonal = true};
  for (std::size_t c = 0; c < classes.size(); ++c) {
    Series series{classes[c], {}};
    for (const ReliabilityBin& range :
         Reliability(OneAgainstRest(evaluation, static_cast<int>(c)))) {
      if (range.examples == 0) continue;
      series.points.emplace_back(range.probability / range.examples,
                                 range.positives / range.examples);
    }
    if (!series.points.empty()) plot.series.push_back(std::move(series));
  }
  return plot;
}

std::string ToHtml(const HtmlReport& report) {
  const Evaluation evaluation = Count(report.scores);
  const Report figures = Summarise(evaluation);
  const PatientIntervals intervals = IntervalsByPatient(report.scores);
  std::string html = Head(report.subject);
  html += fmt::format(
      "<p>{} images of {} patients; an image without a patient's id counts as a patient of its "
      "own.</p>\n",
      report.scores.size(), intervals.patients);
  html += MainPart(evaluation, figures, &intervals, report.classes);
  html += Calibration(figures, report.scores);
  if (!report.shortcuts.empty()) {
    html += "<h2>Shortcuts</h2>\n<p>" + EscapeMarkup(report.shortcuts) + "</p>\n";
  }
  for (const Breakdown& breakdown : report.breakdowns) html += ByGroup(breakdown);
  return HtmlPage(report.title, html);
}

std::string ToHtml(const HtmlRun& run) {
  std::string html = Head(run.subject);
  if (run.models.empty()) return HtmlPage(run.title, html + "<p>No model was scored yet.</p>\n");
  html +=
      "<h2>Course</h2>\n<div class=\"plots\">" + ToSvg(CoursePlot(run)) + "</div>\n" + ByRound(run);
  const HtmlRun::Model& last = run.models.back();
  html += fmt::format("<h2>The model of round {}, by site</h2>\n", last.round) +
          BySite(last, run.classes);
  html += fmt::format("<h1>The model of round {}, all sites</h1>\n", last.round);
  html += MainPart(last.pooled, Summarise(last.pooled), nullptr, run.classes);
  return HtmlPage(run.title, html);
}

}  // namespace consilium
