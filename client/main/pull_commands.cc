// Global models: how a hospital gets them, and goes back to the one before.

#include <algorithm>
#include <filesystem>
#include <memory>

#include "certs/home.h"
#include "certs/model_manifest.h"
#include "client/main/commands.h"
#include "client/nn/network.h"
#include "client/rpc/coordinator_client.h"
#include "client/session/local.h"
#include "client/session/local_tensors.h"
#include "client/session/model_shelf.h"
#include "client/session/run_course.h"
#include "common/audit/trail.h"
#include "common/base/file.h"
#include "common/cli/cli.h"
#include "common/config/site.h"
#include "common/metrics/report.h"
#include "common/model/model_file.h"
#include "common/rpc/channel.h"
#include "common/wire/convert.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;

struct PullOptions {
  std::string dir;
  std::string run;
  int round = -1;
  std::string channel;
  std::string output;
  std::string architecture;
  double min_balanced_accuracy = 0;  // 0: as site.yaml says
};

// A model and what its coordinator says of it.
struct Chosen {
  v1::ModelRef model;
  v1::Signed manifest;  // empty: of a coordinator that signs none yet
};

// The model asked for. Where no run is named it is one that completed: another's model may be
// untrained still, and would take the place of a good one.
StatusOr<v1::ModelRef> ChooseModel(const v1::ListModelsResponse& list, const PullOptions& options) {
  const std::string& run = options.run.empty() ? list.completed_run_id() : options.run;
  if (run.empty()) return NotFound("no run has completed yet; name one with --run");
  const auto& models = list.models();
  for (auto model = models.rbegin(); model != models.rend(); ++model) {
    if (model->run_id() != run) continue;
    if (options.round < 0 || static_cast<int>(model->round()) == options.round) return *model;
  }
  if (options.round < 0) return NotFound("{} has no model yet", run);
  return NotFound("{} has no model of round {}", run, options.round);
}

StatusOr<Chosen> Choose(CoordinatorClient& client, const PullOptions& options, bool accept_unsigned,
                        const std::stop_token& stop) {
  if (!options.channel.empty()) {
    CSL_ASSIGN_OR_RETURN(v1::GetReleaseResponse release, Retry(*client.channel(), stop, [&] {
                           return client.GetRelease(options.channel);
                         }));
    return Chosen{release.model(), std::move(*release.mutable_manifest())};
  }
  CSL_ASSIGN_OR_RETURN(const v1::ListModelsResponse list, Retry(*client.channel(), stop, [&] {
                         return client.ListModels(options.run);
                       }));
  Chosen chosen;
  CSL_ASSIGN_OR_RETURN(chosen.model, ChooseModel(list, options));
  auto manifest = Retry(*client.channel(), stop, [&] { return client.GetManifest(chosen.model); });
  if (absl::IsUnimplemented(manifest.status()) && accept_unsigned) return chosen;
  CSL_ASSIGN_OR_RETURN(chosen.manifest, std::move(manifest));
  return chosen;
}

// A model is only worth having if this client can build its network.
Status CheckUsable(const Model& model, const PullOptions& options) {
  if (!options.architecture.empty() && model.info.spec.architecture != options.architecture) {
    return InvalidArgument("the model is {}, not {}", model.info.spec.architecture,
                           options.architecture);
  }
  CSL_ASSIGN_OR_RETURN(Network network, Network::Create(model.info.spec, /*seed=*/0));
  return network.Load(model.state);
}

// Whether the model does well enough on this hospital's own validation images to be used here.
Status CheckAcceptance(Model model, const std::filesystem::path& dir, const v1::SiteConfig& site,
                       double floor, const std::stop_token& stop) {
  if (floor == 0) return OkStatus();
  CSL_RETURN_IF_ERROR(LocalTensors(dir).PutLastInto(model));
  CSL_ASSIGN_OR_RETURN(const ScoredImages scored, ScoreModel(model, site, {}, stop));
  const auto reached = Summarise(Count(scored.scores)).balanced_accuracy;
  fmt::print("balanced accuracy on {} validation images of this hospital: {}\n",
             scored.scores.size(), Percent(reached));
  if (reached && *reached >= floor) return OkStatus();
  return FailedPrecondition("the model does not reach {} here, and was not taken into use",
                            Percent(floor));
}

// For the hospital's page: what the run's models came to at all that have scored them, as far as
// their coordinator has signed it. A model is not worth less without.
void NoteCourse(CoordinatorClient& client, const Certificate& root, const PullOptions& options,
                const std::string& run) {
  constexpr int kMostModels = 200;  // the last ones
  const auto note = [&]() -> Status {
    CSL_ASSIGN_OR_RETURN(const v1::ListModelsResponse list, client.ListModels(run));
    EvaluationsByRound evaluations;
    for (int i = std::max(0, list.models_size() - kMostModels); i < list.models_size(); ++i) {
      const v1::ModelRef& model = list.models(i);
      CSL_ASSIGN_OR_RETURN(const v1::Signed statement, client.GetManifest(model));
      CSL_ASSIGN_OR_RETURN(const v1::ModelManifest manifest,
                           VerifyManifest(statement, root, SystemClock().Now()));
      CSL_RETURN_IF_ERROR(CheckManifestIsOf(manifest, model));
      if (!manifest.has_evaluation()) continue;
      CSL_ASSIGN_OR_RETURN(evaluations[static_cast<int>(model.round())],
                           FromProto(manifest.evaluation()));
    }
    return RunCourse(options.dir).NotePooled(run, evaluations);
  };
  if (const Status noted = note(); !noted.ok()) {
    fmt::print(stderr, "the course of {} is not known: {}\n", run, std::string(noted.message()));
  }
}

Status Pull(const PullOptions& options, const std::stop_token& stop) {
  CSL_ASSIGN_OR_RETURN(const Home home, ReadHome(options.dir));
  CSL_ASSIGN_OR_RETURN(const v1::SiteConfig site, ReadSiteOfFolder(options.dir));
  const bool accept_unsigned = site.policy().accept_unsigned_models();
  CSL_ASSIGN_OR_RETURN(const ModelShelf shelf, ModelShelf::Open(options.dir, accept_unsigned));
  CSL_ASSIGN_OR_RETURN(const Certificate root, Certificate::FromPem(home.ca_pem));
  CoordinatorClient client(home, stop);
  CSL_ASSIGN_OR_RETURN(const Chosen chosen, Choose(client, options, accept_unsigned, stop));
  const std::string& digest = chosen.model.digest();
  const bool is_signed = !chosen.manifest.statement().empty();
  if (is_signed || !accept_unsigned) {
    CSL_ASSIGN_OR_RETURN(const v1::ModelManifest manifest,
                         VerifyManifest(chosen.manifest, root, SystemClock().Now()));
    CSL_RETURN_IF_ERROR(CheckManifestIsOf(manifest, chosen.model));
    if (manifest.channel() != options.channel) {
      return PermissionDenied("the manifest is of the channel '{}'", manifest.channel());
    }
  }

  const fs::path output = options.output.empty() ? shelf.current() : fs::absolute(options.output);
  // Beside the target until it is checked, so that a bad model never replaces a good one.
  const fs::path fresh = output.string() + ".new";
  std::error_code error;
  fs::remove(fresh, error);
  CSL_RETURN_IF_ERROR(Retry(*client.channel(), stop, [&] {
    return client.Download(digest, chosen.model.size_bytes(), fresh, stop);
  }));
  const double floor = options.min_balanced_accuracy > 0 ? options.min_balanced_accuracy
                                                         : site.policy().min_balanced_accuracy();
  Status taken = OkStatus();
  if (is_signed) {
    taken = WriteManifest(output.parent_path(), digest, chosen.manifest);
    if (taken.ok()) taken = VerifyModelFile(fresh, root, SystemClock().Now()).status();
  }
  const StatusOr<Model> model = taken.ok() ? ReadModel(fresh) : taken;
  if (taken.ok()) taken = model.status();
  if (taken.ok()) taken = CheckUsable(*model, options);
  if (taken.ok()) taken = CheckAcceptance(*model, options.dir, site, floor, stop);
  const SystemClock clock;
  CSL_ASSIGN_OR_RETURN(const auto trail,
                       AuditTrail::Open(fs::path(options.dir) / kTrailFile, clock));
  CSL_RETURN_IF_ERROR(trail->Append(taken.ok() ? "model_pulled" : "model_not_taken",
                                    {{"run", chosen.model.run_id()},
                                     {"round", chosen.model.round()},
                                     {"digest", digest},
                                     {"channel", options.channel}}));
  if (!taken.ok()) {
    fs::remove(fresh, error);
    (void)shelf.RemoveOtherManifests();
    return taken;
  }
  if (options.output.empty()) {
    CSL_RETURN_IF_ERROR(shelf.Install(fresh));
    CSL_RETURN_IF_ERROR(shelf.RemoveOtherManifests());
    if (is_signed) NoteCourse(client, root, options, chosen.model.run_id());
  } else {
    fs::rename(fresh, output, error);
    if (error) return ErrnoStatus(error.value(), "cannot write", output);
  }
  fmt::print("{}: {}\nsha256 {}{}\n", output.string(), Describe(model->info, *model->state.layout),
             digest, is_signed ? ", signed by its coordinator" : ", not signed");
  return OkStatus();
}

Status Rollback(const std::string& dir) {
  CSL_ASSIGN_OR_RETURN(const v1::SiteConfig site, ReadSiteOfFolder(dir));
  CSL_ASSIGN_OR_RETURN(const ModelShelf shelf,
                       ModelShelf::Open(dir, site.policy().accept_unsigned_models()));
  const SystemClock clock;
  CSL_ASSIGN_OR_RETURN(const auto trail, AuditTrail::Open(fs::path(dir) / kTrailFile, clock));
  CSL_ASSIGN_OR_RETURN(const Model model, shelf.ReadFormer(clock.Now()));
  CSL_RETURN_IF_ERROR(trail->Append("model_rolled_back", {{"run", model.info.provenance.run},
                                                          {"round", model.info.provenance.round}}));
  CSL_RETURN_IF_ERROR(shelf.Rollback());
  fmt::print("{}: {}\n", shelf.current().string(), Describe(model.info, *model.state.layout));
  return OkStatus();
}

}  // namespace

void AddPullCommands(CLI::App& app, CommandLine& line) {
  const auto pull = std::make_shared<PullOptions>();
  CLI::App* command =
      app.add_subcommand("pull", "Fetch a global model, check it, take it into use");
  command->add_option("--dir", pull->dir, "The hospital's folder")->required();
  CLI::Option* run =
      command->add_option("--run", pull->run, "Of this run (default: the last that completed)");
  command->add_option("--round", pull->round, "After this round (default: the run's last)");
  command->add_option("--channel", pull->channel, "What is released on it")->excludes(run);
  command->add_option("--architecture", pull->architecture, "Refuse any other architecture");
  command
      ->add_option("--min-balanced-accuracy", pull->min_balanced_accuracy,
                   "That it must reach on this hospital's validation images (default: site.yaml's)")
      ->check(CLI::Range(0.0, 1.0));
  command->add_option("-o,--output", pull->output,
                      "Default: into use, DIR/models/pulled.safetensors");
  command->callback(
      [pull, &line] { line.command = [pull, &line] { return Pull(*pull, line.stop); }; });

  const auto dir = std::make_shared<std::string>();
  command = app.add_subcommand("rollback", "Put the model before back into use");
  command->add_option("--dir", *dir, "The hospital's folder")->required();
  command->callback([dir, &line] { line.command = [dir] { return Rollback(*dir); }; });
}

}  // namespace consilium
