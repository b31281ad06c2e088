#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "client/main/commands.h"
#include "client/main/json_text.h"
#include "client/session/local.h"
#include "common/base/file.h"
#include "common/cli/cli.h"
#include "common/config/plan.h"
#include "common/config/site.h"
#include "common/metrics/report_text.h"

namespace consilium {
namespace {

using Json = nlohmann::ordered_json;

struct TrainOptionsLine {
  std::string plan;
  std::string init;
  std::string output;
  std::string json;
  Choice choice;
  v1::SiteConfig site = DefaultSite();
};

Status TrainCommand(const TrainOptionsLine& options, const std::stop_token& stop) {
  CSL_ASSIGN_OR_RETURN(const v1::RunPlan plan, ReadPlan(options.plan));
  const std::vector<std::string> classes(plan.model().classes().begin(),
                                         plan.model().classes().end());
  CSL_RETURN_IF_ERROR(CheckFolderOf(options.output));
  CSL_RETURN_IF_ERROR(CheckFolderOf(options.json));
  Json rounds = Json::array();
  const auto on_round = [&](const LocalRound& round) {
    const Report report = Summarise(round.validation);
    fmt::print(
        "round {:>3}/{}  train loss {:.4f}  |  loss {:.4f}  accuracy {:>6}  balanced {:>6}  "
        "on {} images  ({:.1f} s)\n",
        round.round, plan.rounds(), round.train_loss, report.loss.value_or(0),
        Percent(report.accuracy), Percent(report.balanced_accuracy), report.examples,
        round.train_seconds);
    std::fflush(stdout);
    rounds.push_back({{"round", round.round},
                      {"train_loss", round.train_loss},
                      {"train_seconds", round.train_seconds},
                      {"waiting_seconds", round.waiting_seconds},
                      {"images", round.images},
                      {"validation", ReportToJson(round.validation, classes)}});
  };
  CSL_RETURN_IF_ERROR(TrainLocally(plan, options.site, options.init, options.output, options.choice,
                                   stop, on_round));
  fmt::print("wrote {}\n", options.output);
  if (options.json.empty()) return OkStatus();
  return WriteFileAtomically(options.json, ToText(Json{{"rounds", rounds}}, 2) + "\n");
}

}  // namespace

Status CheckFolderOf(const std::filesystem::path& path) {
  if (path.empty()) return OkStatus();
  const std::filesystem::path folder = std::filesystem::absolute(path).parent_path();
  if (std::filesystem::is_directory(folder)) return OkStatus();
  return NotFound("{}: no folder {}", path.string(), folder.string());
}

void AddDataOptions(CLI::App& command, v1::SiteConfig& site) {
  // CLI11 writes into variables; a message has setters.
  const auto text = [&](const char* name, auto set, const char* help) {
    return command.add_option_function<std::string>(
        name, [&site, set](const std::string& value) { set(site, value); }, help);
  };
  text(
      "--data", [](auto& s, auto& v) { s.mutable_data()->set_path(v); },
      "A CSV manifest, or a folder per class")
      ->required();
  text(
      "--root", [](auto& s, auto& v) { s.mutable_data()->set_root(v); },
      "What a CSV's paths are relative to (default: its folder)");
  text(
      "--validation", [](auto& s, auto& v) { s.mutable_data()->set_validation(v); },
      "A second CSV with the validation images");
  text(
      "--device", [](auto& s, auto& v) { s.set_device(v); }, "cpu, cuda or auto")
      ->check(CLI::IsMember({"cpu", "cuda", "auto"}));
  const auto folders = [&](const char* name, auto add, const char* help) {
    command.add_option_function<std::vector<std::string>>(
        name,
        [&site, add](const std::vector<std::string>& values) {
          for (const std::string& value : values) add(site, value);
        },
        help);
  };
  folders(
      "--lung-masks", [](auto& s, auto& v) { s.mutable_data()->add_lung_masks(v); },
      "For a unet: folders of masks, named as their images");
  folders(
      "--opacity-masks", [](auto& s, auto& v) { s.mutable_data()->add_opacity_masks(v); },
      "Likewise, of opacities");
  text(
      "--severity", [](auto& s, auto& v) { s.mutable_data()->set_severity(v); },
      "For a unet: a CSV of path and geographic_extent, 0 to 8");
  command.add_option_function<unsigned>(
      "--threads", [&site](unsigned value) { site.set_threads(value); }, "0: all cores");
}

void AddTrainingCommands(CLI::App& app, CommandLine& line) {
  const auto train = std::make_shared<TrainOptionsLine>();
  CLI::App* command = app.add_subcommand("train", "Train here alone, without a federation");
  command->add_option("--plan", train->plan, "The plan: its model, training and rounds")
      ->required();
  command->add_option("--init", train->init,
                      "A model file to start from (default: the plan's seed)");
  command->add_option("-o,--output", train->output, "The model file to write")->required();
  command->add_option("--json", train->json, "Write every round's figures to this file");
  CLI::Option* best = command->add_option(
      "--best", train->choice.metric,
      "Keep the best model by this figure: balanced_accuracy, loss, recall:covid, …");
  command
      ->add_option("--patience", train->choice.patience,
                   "Stop after so many rounds without a better one")
      ->check(CLI::Range(1, 100'000))
      ->needs(best);
  AddDataOptions(*command, train->site);
  command->callback([train, &line] {
    line.command = [train, &line] { return TrainCommand(*train, line.stop); };
  });
}

}  // namespace consilium
