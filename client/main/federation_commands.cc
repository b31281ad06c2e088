#include <csignal>
#include <filesystem>
#include <memory>

#include "certs/home.h"
#include "client/doctor/doctor.h"
#include "client/main/commands.h"
#include "client/rpc/coordinator_client.h"
#include "client/session/agent.h"
#include "common/audit/trail.h"
#include "common/base/file.h"
#include "common/config/site.h"
#include "common/rpc/channel.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;

struct JoinOptions {
  std::string address;
  std::string token;
  std::string ca_sha256;
  std::string dir;
  std::string data;
  int threads = 0;
};

// What a hospital that has joined is told.
Status PrepareHospital(const JoinOptions& options) {
  const fs::path settings = fs::path(options.dir) / kSiteFile;
  if (!fs::exists(settings)) {
    const std::string data =
        options.data.empty() ? "" : fs::absolute(options.data).lexically_normal().string();
    CSL_RETURN_IF_ERROR(WriteFileAtomically(settings, NewSiteYaml(data, options.threads)));
  }
  if (options.data.empty()) fmt::print("Say in {} where the images are.\n", settings.string());
  fmt::print("Start the agent: consilium-client start --dir {}\n", options.dir);
  return OkStatus();
}

Status Join(const JoinOptions& options, const std::stop_token& stop) {
  CSL_ASSIGN_OR_RETURN(
      const Identity identity,
      JoinFederation(options.address, options.token, options.ca_sha256, options.dir, stop));
  fmt::print("Joined as {} '{}'. Key and certificate are in {}.\n", RoleName(identity.role),
             identity.name, options.dir);
  const SystemClock clock;
  CSL_ASSIGN_OR_RETURN(const auto trail,
                       AuditTrail::Open(fs::path(options.dir) / kTrailFile, clock));
  CSL_RETURN_IF_ERROR(trail->Append("joined", {{"federation", identity.federation},
                                               {"role", RoleName(identity.role)},
                                               {"member", identity.name}}));
  if (identity.role == Role::kHospital) return PrepareHospital(options);
  if (identity.role == Role::kInference) {
    fmt::print("Fetch what is released: consilium-client pull --dir {} --channel stable\n",
               options.dir);
  } else {
    fmt::print("See what runs: consilium-ctl --dir {} run list\n", options.dir);
  }
  return OkStatus();
}

Status Renew(const std::string& dir, const std::stop_token& stop) {
  CSL_ASSIGN_OR_RETURN(const Home home, ReadHome(dir));
  CSL_RETURN_IF_ERROR(CoordinatorClient(home, stop).RenewIdentity(dir));
  fmt::print("{} has another key and certificate. An agent that runs takes them over by itself.\n",
             dir);
  return OkStatus();
}

}  // namespace

void AddFederationCommands(CLI::App& app, CommandLine& line) {
  const auto join = std::make_shared<JoinOptions>();
  CLI::App* command = app.add_subcommand("join", "Join a federation with an invitation");
  command->add_option("address", join->address, "HOST:PORT of the coordinator's enrolment")
      ->required();
  command->add_option("--token", join->token, "The invitation's token; works once")->required();
  command->add_option("--ca-sha256", join->ca_sha256, "The hash of the federation's CA")
      ->required();
  command->add_option("--dir", join->dir, "The hospital's folder, new or empty")->required();
  command->add_option("--data", join->data, "Where the images are: a CSV, or a folder per class");
  command->add_option("--threads", join->threads, "For arithmetic; 0: all cores")
      ->check(CLI::Range(0, 1024));
  command->callback(
      [join, &line] { line.command = [join, &line] { return Join(*join, line.stop); }; });

  const auto dir = std::make_shared<std::string>();
  command = app.add_subcommand("start", "Run the agent: wait for rounds, train, upload");
  command->add_option("--dir", *dir, "The hospital's folder")->required();
  command->footer(
      "Settings are in DIR/site.yaml:\n"
      "  data.path                a CSV manifest (path,label[,patient_id][,split]) or a folder per "
      "class\n"
      "  data.root                what the CSV's paths are relative to (default: the CSV's "
      "folder)\n"
      "  data.validation          a second CSV with the validation images\n"
      "  data.validation_fraction share of patients held out where no split is given (0.2)\n"
      "  data.max_unreadable      share of unreadable images above which a task fails (0.05)\n"
      "  data.workers             threads that load images (default: as many as threads)\n"
      "  data.cache_memory_mb     decoded images beyond this lie in a mapped file (4096)\n"
      "  data.lung_masks          folders of masks, named as their images, for a unet\n"
      "  data.opacity_masks       likewise, of opacities\n"
      "  data.severity            a CSV of path and geographic_extent, 0 to 8, for a unet\n"
      "  device                   cpu, cuda or auto (auto)\n"
      "  precision                float32, bfloat16 or auto: bfloat16 on a GPU alone (auto)\n"
      "  replicas                 that a training's batches are shared out to, each on a GPU; 0: "
      "all GPUs (1)\n"
      "  threads                  for arithmetic; 0: all cores (0)\n"
      "  checkpoint_seconds       between two checkpoints of a training; 0: none (60)\n"
      "  architectures            that this hospital agrees to train; empty: any\n"
      "  policy.max_epochs        of training in a run\n"
      "  policy.max_task_hours    of training in a task\n"
      "  policy.min_cohort        sites that a round must ask\n"
      "  policy.transfer_hours    [\"22:00-06:00\"]: models and updates travel then alone\n"
      "  policy.max_megabits      a second, of each transfer\n"
      "  policy.required_privacy  [pseudonyms]: refuse plans without\n"
      "  policy.approve_plans     wait with each new plan for consilium-client approve\n"
      "  policy.min_balanced_accuracy    that a pulled model must reach on the validation images\n"
      "  policy.accept_unsigned_models   of a coordinator from before version 0.3");
  command->callback([dir, &line] {
    line.command = [dir, &line] {
      std::signal(SIGPIPE, SIG_IGN);  // a reader of the log that goes away must not end the agent
      return RunAgent(*dir, line.stop);
    };
  });

  command = app.add_subcommand(
      "renew", "Get another key and certificate now; the agent does so by itself in time");
  command->add_option("--dir", *dir, "The hospital's folder")->required();
  command->callback(
      [dir, &line] { line.command = [dir, &line] { return Renew(*dir, line.stop); }; });

  const auto json = std::make_shared<bool>(false);
  command =
      app.add_subcommand("doctor", "Say what stands between this hospital and its federation");
  command->add_option("--dir", *dir, "The hospital's folder")->required();
  command->add_flag("--json", *json, "For programs");
  command->callback([dir, json, &line] {
    line.command = [dir, json, &line] {
      return PrintDiagnoses(ExamineHospital(*dir, line.stop), *json);
    };
  });
}

}  // namespace consilium
