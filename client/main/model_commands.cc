#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "certs/home.h"
#include "certs/model_manifest.h"
#include "client/export/export.h"
#include "client/main/commands.h"
#include "client/main/house.h"
#include "client/main/json_text.h"
#include "client/nn/checkpoint.h"
#include "client/nn/network.h"
#include "common/base/file.h"
#include "common/cli/cli.h"
#include "common/config/plan.h"
#include "common/crypto/digest.h"
#include "common/metrics/report_text.h"
#include "common/wire/convert.h"

namespace consilium {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

std::string Names(const std::vector<std::string>& names) {
  return names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "));
}

Status InitModel(const std::string& plan_path, const std::string& checkpoint_path,
                 const std::string& output) {
  CSL_ASSIGN_OR_RETURN(const v1::RunPlan plan, ReadPlan(plan_path));
  CSL_ASSIGN_OR_RETURN(const ModelSpec spec, FromProto(plan.model()));
  CSL_ASSIGN_OR_RETURN(Network network, Network::Create(spec, plan.seed()));
  if (!checkpoint_path.empty()) {
    CSL_ASSIGN_OR_RETURN(const auto checkpoint, ReadCheckpoint(checkpoint_path));
    const auto adoption = Adopt(checkpoint, network);
    if (!adoption.ok()) return Annotate(adoption.status(), checkpoint_path);
    fmt::print("{} tensors from {}; adapted: {}; drawn anew: {}; not used: {}\n",
               adoption->taken.size(), checkpoint_path, Names(adoption->adapted),
               Names(adoption->fresh), Names(adoption->unused));
  }
  CSL_RETURN_IF_ERROR(WriteModel(output, {spec, {}}, network.State()));
  fmt::print("{}: {}\n", output, Describe({spec, {}}, *network.layout()));
  return OkStatus();
}

Status ModelInfoCommand(const std::string& path, bool json) {
  CSL_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  CSL_ASSIGN_OR_RETURN(const Model model, ReadModel(path));
  const std::string digest = Sha256Of(file.bytes());
  if (json) {
    Json tensors = Json::array();
    for (const TensorSpec& tensor : model.state.layout->tensors()) {
      tensors.push_back(
          {{"name", tensor.name}, {"shape", tensor.shape}, {"role", TensorRoleName(tensor.role)}});
    }
    const Json info = {{"sha256", digest},
                       {"metadata", EncodeModelInfo(model.info)},
                       {"values", model.state.layout->size()},
                       {"tensors", tensors}};
    fmt::print("{}\n", ToText(info, 2));
    return OkStatus();
  }
  const Provenance& provenance = model.info.provenance;
  fmt::print("{}\nsha256 {}\ntensors {}\n", Describe(model.info, *model.state.layout), digest,
             model.state.layout->tensors().size());
  if (!provenance.parent_digest.empty()) {
    fmt::print("averaged from {} sites, parent {}\n", provenance.training_sites,
               provenance.parent_digest);
  }
  return OkStatus();
}

Status Export(const std::string& path, const std::string& format, const std::string& output) {
  CSL_ASSIGN_OR_RETURN(const ExportFormat to, ParseExportFormat(format));
  CSL_ASSIGN_OR_RETURN(const Model model, ReadModel(path));
  CSL_RETURN_IF_ERROR(ExportModel(model, to, output));
  fmt::print("{}: {}, as {}\n", output, Describe(model.info, *model.state.layout), format);
  return OkStatus();
}

struct VerifyCommand {
  std::string file;
  std::string dir;
  std::string ca;
  bool json = false;
};

// Needs no network: the root's certificate, the model and its manifest.
Status VerifyModel(const VerifyCommand& command) {
  if (command.dir.empty() == command.ca.empty()) {
    return InvalidArgument("want --dir DIR of a member of the federation, or --ca FILE");
  }
  CSL_ASSIGN_OR_RETURN(
      const std::string pem,
      ReadFile(command.ca.empty() ? fs::path(command.dir) / kRootFile : fs::path(command.ca)));
  CSL_ASSIGN_OR_RETURN(const Certificate root, Certificate::FromPem(pem));
  CSL_ASSIGN_OR_RETURN(const v1::ModelManifest manifest,
                       VerifyModelFile(command.file, root, SystemClock().Now()));
  CSL_ASSIGN_OR_RETURN(const ModelSpec spec, FromProto(manifest.model()));
  CSL_ASSIGN_OR_RETURN(const Evaluation evaluation, FromProto(manifest.evaluation()));
  const bool is_scored = evaluation.classes() > 0;
  Json sites = Json::array();
  std::string participants;
  for (const v1::Participant& one : manifest.participants()) {
    sites.push_back({{"site", one.site()},
                     {"train_examples", one.train_examples()},
                     {"update_digest", one.update_digest()}});
    participants += fmt::format("  {} with {} images, update {}\n", one.site(),
                                one.train_examples(), one.update_digest());
  }
  Json scores = Json::array();
  std::string by_site;
  for (const v1::SiteScore& one : manifest.site_scores()) {
    scores.push_back(ToJson(one));
    by_site += fmt::format("  {} {} on {} images\n", one.site(), Percent(one.balanced_accuracy()),
                           one.examples());
  }
  if (command.json) {
    const Json json = {{"federation", manifest.federation()},
                       {"run", manifest.run_id()},
                       {"round", manifest.round()},
                       {"digest", manifest.digest()},
                       {"bytes", manifest.size_bytes()},
                       {"model", EncodeModelInfo({spec, {}})},
                       {"parent_digest", manifest.parent_digest()},
                       {"plan_digest", manifest.plan_digest()},
                       {"participants", sites},
                       {"evaluated_sites", manifest.evaluated_sites()},
                       {"evaluation", is_scored ? ReportToJson(evaluation, spec.classes) : Json()},
                       {"site_scores", scores},
                       {"software", manifest.software()},
                       {"signed_unix_ms", manifest.signed_unix_ms()},
                       {"channel", manifest.channel()}};
    fmt::print("{}\n", ToText(json, 2));
    return OkStatus();
  }
  fmt::print(
      "{}: whole, and signed by the coordinator of '{}'\n"
      "sha256 {}\n{} round {}{}, {} with input {}x{}x{}, classes {}\nplan {}\nparent {}\n"
      "averaged from {} sites\n{}"
      "balanced accuracy at {} sites {}\n{}"
      "signed {} UTC by consilium {}\n",
      command.file, manifest.federation(), manifest.digest(), manifest.run_id(), manifest.round(),
      manifest.channel().empty() ? "" : ", released on '" + manifest.channel() + "'",
      spec.architecture, spec.channels, spec.input_size, spec.input_size,
      fmt::join(spec.classes, ", "), manifest.plan_digest(),
      manifest.parent_digest().empty() ? "-" : manifest.parent_digest(), sites.size(), participants,
      manifest.evaluated_sites(),
      is_scored ? Percent(Summarise(evaluation).balanced_accuracy) : "-", by_site,
      FormatTime(manifest.signed_unix_ms()), manifest.software());
  return OkStatus();
}

}  // namespace

void AddModelCommands(CLI::App& app, CommandLine& line) {
  CLI::App* model = app.add_subcommand("model", "Model files");
  model->require_subcommand(1);
  const auto plan = std::make_shared<std::string>();
  const auto path = std::make_shared<std::string>();
  const auto json = std::make_shared<bool>(false);
  CLI::App* command = model->add_subcommand("init", "Make a plan's initial model");
  command->add_option("--plan", *plan)->required();
  command->add_option("-o,--output", *path)->required();
  const auto checkpoint = std::make_shared<std::string>();
  command->add_option("--from", *checkpoint,
                      "Weights to begin with: a state dict of PyTorch, or safetensors");
  command->callback([plan, checkpoint, path, &line] {
    line.command = [plan, checkpoint, path] { return InitModel(*plan, *checkpoint, *path); };
  });
  command = model->add_subcommand("info", "Say what a model file is");
  command->add_option("file", *path)->required();
  command->add_flag("--json", *json, "Print JSON, with every tensor");
  command->callback([path, json, &line] {
    line.command = [path, json] { return ModelInfoCommand(*path, *json); };
  });
  const auto output = std::make_shared<std::string>();
  const auto format = std::make_shared<std::string>();
  command = model->add_subcommand("export", "Write a model as other programs read it");
  command->add_option("file", *path)->required();
  command->add_option("--to", *format)
      ->check(CLI::IsMember({"onnx", "torchscript", "safetensors"}))
      ->required();
  command->add_option("-o,--output", *output)->required();
  command->callback([path, format, output, &line] {
    line.command = [path, format, output] { return Export(*path, *format, *output); };
  });
  const auto verify = std::make_shared<VerifyCommand>();
  command = model->add_subcommand(
      "verify", "Say whether a model is what its coordinator signed; needs no network");
  command->add_option("file", verify->file, "Its manifest lies beside it, as SHA256.manifest")
      ->required();
  command->add_option("--dir", verify->dir, "The folder of a member of the federation");
  command->add_option("--ca", verify->ca, "Or the certificate of the federation's root");
  command->add_flag("--json", verify->json, "For programs");
  command->callback([verify, &line] { line.command = [verify] { return VerifyModel(*verify); }; });
}

}  // namespace consilium
