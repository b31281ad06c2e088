#include <algorithm>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "client/main/commands.h"
#include "client/main/json_text.h"
#include "client/session/comparison.h"
#include "client/session/extent_check.h"
#include "client/session/local.h"
#include "client/session/shortcut_audit.h"
#include "common/base/file.h"
#include "common/cli/cli.h"
#include "common/config/site.h"
#include "common/metrics/report_html.h"
#include "common/metrics/report_text.h"

namespace consilium {
namespace {

using Json = nlohmann::ordered_json;

struct EvaluateOptions {
  std::string model;
  ScoreOptions score;
  bool json = false;
  std::string html;
  std::string plots;  // a folder
  std::string masks;  // a folder
  v1::SiteConfig site = DefaultSite();
};

// By what the manifest tells of the images; what it does not tell of any is left out.
std::vector<Breakdown> BreakDownAll(const ScoredImages& scored) {
  const std::vector<std::pair<const char*, std::function<std::string(const Example&)>>> columns = {
      {"site", [](const Example& one) { return one.site; }},
      {"view", [](const Example& one) { return one.view; }},
      {"sex", [](const Example& one) { return one.sex; }},
      {"age", [](const Example& one) { return AgeBand(one.age); }}};
  std::vector<Breakdown> breakdowns;
  for (const auto& [by, name_of] : columns) {
    std::vector<std::string> names;
    for (const Example& example : scored.examples) names.push_back(name_of(example));
    const auto is_told = [](const std::string& name) { return !name.empty(); };
    if (std::ranges::any_of(names, is_told)) {
      breakdowns.push_back(BreakDown(by, scored.scores, names));
    }
  }
  return breakdowns;
}

Json ToJson(const std::optional<double>& value, const std::optional<Interval>& interval) {
  Json json = {{"value", nullptr}, {"ci95", nullptr}};
  if (value) json["value"] = *value;
  if (interval) json["ci95"] = {interval->low, interval->high};
  return json;
}

Json ToJson(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

Json ToJson(const Agreement& agreement) {
  return {{"pictures", agreement.images},
          {"patients", agreement.patients},
          {"correlation", ToJson(agreement.correlation, agreement.correlation_ci)},
          {"mean_absolute_error",
           ToJson(agreement.mean_absolute_error, agreement.mean_absolute_error_ci)},
          {"error_of_median", ToJson(agreement.error_of_median)}};
}

Json ToJson(const ExtentCheck& check) {
  Json dice = Json::object();
  if (check.lungs) dice["lungs"] = *check.lungs;
  if (check.opacities) dice["opacities"] = *check.opacities;
  return {{"pictures_with_lung_mask", check.masked},
          {"dice", dice},
          {"geographic_extent", ToJson(check.geographic_extent)},
          {"opacity", ToJson(check.opacity)},
          {"not_measured", check.not_measured}};
}

std::string Describe(const std::optional<double>& value, const std::optional<Interval>& interval) {
  if (!value) return "not defined";
  if (!interval) return fmt::format("{:.2f}", *value);
  return fmt::format("{:.2f} ({:.2f} to {:.2f})", *value, interval->low, interval->high);
}

std::string Describe(const char* name, int greatest, const Agreement& agreement) {
  if (agreement.images == 0) return "";
  return fmt::format(
      "{}, 0 to {}, of {} pictures of {} patients, 95% intervals by patient\n"
      "  correlation with the experts' {}\n  mean absolute error {}; of who always says "
      "their median, {:.2f}\n",
      name, greatest, agreement.images, agreement.patients,
      Describe(agreement.correlation, agreement.correlation_ci),
      Describe(agreement.mean_absolute_error, agreement.mean_absolute_error_ci),
      *agreement.error_of_median);
}

std::string Describe(const ExtentCheck& check) {
  std::string text = fmt::format("{} pictures with a mask of their lungs\n", check.masked);
  if (check.lungs) text += fmt::format("  lungs: Dice coefficient {:.3f}\n", *check.lungs);
  if (check.opacities) {
    text += fmt::format("  opacities, where they are known: Dice coefficient {:.3f}\n",
                        *check.opacities);
  }
  text += Describe("geographic extent", 8, check.geographic_extent);
  text += Describe("opacity, by the extent", 6, check.opacity);
  if (check.not_measured > 0) {
    text += fmt::format("{} scored pictures not measured: unreadable, or no lung was found\n",
                        check.not_measured);
  }
  return text;
}

Json ToJson(const ShortcutAudit& audit) {
  const auto figures = [](const Scores& scores) {
    const Report report = Summarise(Count(scores));
    return Json{{"accuracy", report.accuracy.value_or(0)},
                {"balanced_accuracy", report.balanced_accuracy.value_or(0)}};
  };
  return {{"images", audit.whole.size()},
          {"without_mask", audit.without_mask},
          {"whole", figures(audit.whole)},
          {"without_lungs", figures(audit.without_lungs)},
          {"lungs_alone", figures(audit.lungs_alone)},
          {"attention_in_lungs",
           audit.attention_in_lungs ? Json(*audit.attention_in_lungs) : Json(nullptr)},
          {"lung_area", audit.lung_area}};
}

std::string Describe(const ShortcutAudit& audit) {
  const auto percent = [](const Scores& scores) {
    return Percent(Summarise(Count(scores)).balanced_accuracy);
  };
  return fmt::format(
      "of {} images with a lung mask: balanced accuracy {} as they are, {} with black lungs (at "
      "chance where only lungs count), {} with nothing but lungs; {} of what speaks for the answer "
      "lies in the lungs, which are {} of the picture\n",
      audit.whole.size(), percent(audit.whole), percent(audit.without_lungs),
      percent(audit.lungs_alone), Percent(audit.attention_in_lungs), Percent(audit.lung_area));
}

Json ToJson(const SourceProbe& probe) {
  return {{"images", probe.images},
          {"sources", probe.sources},
          {"accuracy", probe.accuracy},
          {"balanced_accuracy", probe.balanced_accuracy}};
}

std::string Describe(const SourceProbe& probe) {
  return fmt::format(
      "which of {} sources an image is from can be told from what the model sees of it: balanced "
      "accuracy {} on {} images (at chance: {})\n",
      probe.sources, Percent(probe.balanced_accuracy), probe.images,
      Percent(1 / static_cast<double>(probe.sources)));
}

Status WritePlots(const std::filesystem::path& folder, const Evaluation& evaluation,
                  const std::vector<std::string>& classes) {
  CSL_RETURN_IF_ERROR(MakeFolders(folder));
  CSL_RETURN_IF_ERROR(WriteFileAtomically(folder / "roc.svg", ToSvg(RocPlot(evaluation, classes))));
  CSL_RETURN_IF_ERROR(WriteFileAtomically(folder / "precision-recall.svg",
                                          ToSvg(PrecisionRecallPlot(evaluation, classes))));
  return WriteFileAtomically(folder / "reliability.svg",
                             ToSvg(ReliabilityPlot(evaluation, classes)));
}

// Of a model that labels pixels.
Status EvaluateExtent(const Model& model, const EvaluateOptions& options,
                      const std::stop_token& stop) {
  if (!options.html.empty() || !options.plots.empty() || !options.masks.empty()) {
    return InvalidArgument("a {} has no --html, --plots or --masks: see --lung-masks",
                           model.info.spec.architecture);
  }
  CSL_ASSIGN_OR_RETURN(const ExtentCheck check,
                       CheckExtent(model, options.site, options.score.split, stop));
  if (options.json) {
    fmt::print("{}\n", ToText(ToJson(check), 2));
  } else {
    fmt::print("{}", Describe(check));
  }
  return OkStatus();
}

Status EvaluateCommand(const EvaluateOptions& options, const std::stop_token& stop) {
  CSL_ASSIGN_OR_RETURN(const Model model, ReadModel(options.model));
  if (LabelsPixels(model.info.spec)) return EvaluateExtent(model, options, stop);
  CSL_RETURN_IF_ERROR(CheckFolderOf(options.html));
  CSL_ASSIGN_OR_RETURN(const ScoredImages scored,
                       ScoreModel(model, options.site, options.score, stop));
  const auto& classes = model.info.spec.classes;
  const std::vector<Breakdown> breakdowns = BreakDownAll(scored);
  std::optional<ShortcutAudit> audit;
  if (!options.masks.empty()) {
    CSL_ASSIGN_OR_RETURN(audit, AuditShortcuts(model, scored, options.masks, options.site, stop));
  }
  CSL_ASSIGN_OR_RETURN(const std::optional<SourceProbe> probe,
                       AuditSources(model, scored, options.site, stop));
  const std::string shortcuts = (audit ? Describe(*audit) : "") + (probe ? Describe(*probe) : "");
  if (options.json) {
    Json json = ReportToJson(scored.scores, classes);
    json["breakdowns"] = BreakdownsToJson(breakdowns);
    if (audit) json["shortcuts"] = ToJson(*audit);
    if (probe) json["source_probe"] = ToJson(*probe);
    fmt::print("{}\n", ToText(json, 2));
  } else {
    fmt::print("{}{}", ReportToText(scored.scores, classes), shortcuts);
  }
  if (!options.plots.empty()) {
    CSL_RETURN_IF_ERROR(WritePlots(options.plots, Count(scored.scores), classes));
  }
  if (options.html.empty()) return OkStatus();
  const HtmlReport page{
      .title = "Evaluation",
      .subject = fmt::format("{} on split '{}' of {}", Describe(model.info, *model.state.layout),
                             options.score.split, options.site.data().path()),
      .classes = classes,
      .scores = scored.scores,
      .breakdowns = breakdowns,
      .shortcuts = shortcuts};
  return WriteFileAtomically(options.html, ToHtml(page), kPrivateMode);
}

struct CompareOptions {
  std::vector<std::string> models;
  std::string split = "val";
  bool json = false;
  v1::SiteConfig site = DefaultSite();
};

Json ToJson(const std::vector<Compared>& all) {
  Json models = Json::array();
  for (const Compared& one : all) {
    models.push_back({{"file", one.file.string()},
                      {"architecture", one.spec.architecture},
                      {"input_size", one.spec.input_size},
                      {"parameters", one.parameters},
                      {"bytes", one.bytes},
                      {"flops", one.flops},
                      {"latency_seconds", one.latency_seconds},
                      {"train_images_per_second", one.train_images_per_second},
                      {"report", ReportToJson(one.scores, one.spec.classes)}});
  }
  return {{"models", models}};
}

std::string WithInterval(const std::optional<double>& value,
                         const std::optional<Interval>& interval) {
  if (!value || !interval) return "-";
  return fmt::format("{:.1f} ({:.1f}-{:.1f})", 100 * *value, 100 * interval->low,
                     100 * interval->high);
}

std::string Describe(const std::vector<Compared>& all) {
  std::vector<std::vector<std::string>> rows = {{"model", "architecture", "parameters", "MB",
                                                 "GFLOP", "ms an image", "training images/s",
                                                 "s an epoch", "accuracy %", "balanced %"}};
  for (const Compared& one : all) {
    const Report report = Summarise(Count(one.scores));
    const PatientIntervals intervals = IntervalsByPatient(one.scores);
    rows.push_back({one.file.filename().string(), one.spec.architecture,
                    std::to_string(one.parameters),
                    fmt::format("{:.1f}", static_cast<double>(one.bytes) / 1e6),
                    fmt::format("{:.2f}", static_cast<double>(one.flops) / 1e9),
                    fmt::format("{:.1f}", 1000 * one.latency_seconds),
                    fmt::format("{:.0f}", one.train_images_per_second),
                    fmt::format("{:.1f}", static_cast<double>(one.scores.size()) /
                                              one.train_images_per_second),
                    WithInterval(report.accuracy, intervals.accuracy),
                    WithInterval(report.balanced_accuracy, intervals.balanced_accuracy)});
  }
  return FormatTable(rows);
}

Status CompareCommand(const CompareOptions& options, const std::stop_token& stop) {
  CSL_ASSIGN_OR_RETURN(const std::vector<Compared> all,
                       CompareModels({options.models.begin(), options.models.end()}, options.site,
                                     options.split, stop));
  fmt::print("{}", options.json ? ToText(ToJson(all), 2) + "\n" : Describe(all));
  return OkStatus();
}

}  // namespace

void AddEvaluationCommands(CLI::App& app, CommandLine& line) {
  const auto evaluate = std::make_shared<EvaluateOptions>();
  CLI::App* command = app.add_subcommand("evaluate", "Score a model on labelled images");
  command->add_option("--model", evaluate->model, "A model file")->required();
  command->add_option("--split", evaluate->score.split, "train, val, test or all")
      ->capture_default_str();
  command
      ->add_option("--copies", evaluate->score.copies,
                   "Average over each image and so many slightly changed copies of it")
      ->check(CLI::Range(0, 1000));
  command->add_flag("--json", evaluate->json, "Print JSON");
  command->add_option("--html", evaluate->html, "Write a page with tables and plots");
  command->add_option(
      "--masks", evaluate->masks,
      "A folder of lung masks, named as their images: does the model look at lungs?");
  command->add_option("--plots", evaluate->plots, "Write the plots as SVG into this folder");
  AddDataOptions(*command, evaluate->site);
  command->callback([evaluate, &line] {
    line.command = [evaluate, &line] { return EvaluateCommand(*evaluate, line.stop); };
  });

  const auto compare = std::make_shared<CompareOptions>();
  command = app.add_subcommand("compare", "Put models side by side on labelled images");
  command->add_option("models", compare->models, "Model files")->required();
  command->add_option("--split", compare->split, "train, val, test or all")->capture_default_str();
  command->add_flag("--json", compare->json, "Print JSON");
  AddDataOptions(*command, compare->site);
  command->callback([compare, &line] {
    line.command = [compare, &line] { return CompareCommand(*compare, line.stop); };
  });
}

}  // namespace consilium
