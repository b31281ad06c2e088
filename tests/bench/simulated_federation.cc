// A federation in one process, for experiments: the hospitals' own training and the coordinator's
// own arithmetic, one site after the other, without a network, keys or files between them. The same
// plan, data and machine give the same model as the programs do. One site alone is central
// training.
//
//   simulated_federation --plan plan.yaml --site NAME=TRAIN.csv … --score NAME=TEST.csv … --json
//   OUT

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "client/link/sent_update.h"
#include "client/nn/network.h"
#include "client/session/local.h"
#include "client/session/plan_options.h"
#include "client/session/site_images.h"
#include "client/session/trainee.h"
#include "client/train/class_weights.h"
#include "client/train/control_variate.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/config/plan.h"
#include "common/config/site.h"
#include "common/encoding/update_encoding.h"
#include "common/metrics/report_text.h"
#include "common/model/local_part.h"
#include "common/model/part.h"
#include "server/aggregate/krum.h"
#include "server/aggregate/next_model.h"
#include "server/aggregate/server_optimizer.h"
#include "server/aggregate/update_terms.h"
#include "server/store/run_config.h"

namespace consilium {
namespace {

using Json = nlohmann::ordered_json;

struct Settings {
  std::string plan;
  std::map<std::string, std::string> sites;   // training images
  std::map<std::string, std::string> scored;  // images that the last model is scored on
  int every = 0;                              // and in between, each time after so many rounds
  int copies = 0;                             // see ScoreOptions
  std::string json;
  std::string model;
  std::string initial;
  v1::SiteConfig common = DefaultSite();
};

v1::SiteConfig SiteOf(const Settings& settings, const std::string& csv) {
  v1::SiteConfig site = settings.common;
  site.mutable_data()->set_path(csv);
  return site;
}

struct Site {
  std::string name;
  Trainee trainee;
  std::optional<ModelState> local;  // what it keeps of its own network
  std::vector<float> control;       // its control variate (SCAFFOLD)
  std::vector<float> residual;      // what its updates have left unsent
};

// The global model as the site has it.
ModelState AsOf(const Site& site, const ModelState& global) {
  ModelState own = global;
  if (site.local) (void)PutLocalPart(*site.local, own);  // a part of this very layout
  return own;
}

// What the coordinator holds from round to round.
struct Coordinator {
  RunConfig config;
  ModelState global;
  std::vector<float> moments;
  std::size_t model_bytes = 0;  // of every round's model, as it travels
};

struct Update {
  ModelState state;
  LocalEffort effort;
};

// As it comes out at the coordinator, and how many bytes went there.
StatusOr<std::size_t> Travel(const v1::RunPlan& plan, const RunConfig& config, int round,
                             const ModelInfo& info, const ModelState& global, Site& site,
                             ModelState& trained) {
  const TensorMask moved = Inverse(
      FrozenTensors(*trained.layout, config.stages, round, static_cast<int>(plan.rounds())));
  Model sent{info, PartOf(trained, moved)};
  sent.info.provenance = {.run = "simulated", .round = round, .parent_digest = "simulated"};
  const ModelState base = PartOf(global, moved);
  CSL_ASSIGN_OR_RETURN(
      const std::string file,
      EncodeToSend(plan, site.name, {sent.info, *sent.state.layout, base.values, sent.state.values},
                   site.residual));
  if (config.update_encoding == UpdateEncoding::kFloat32) return file.size();
  CSL_ASSIGN_OR_RETURN(sent.state.values,
                       ApplyUpdate(AsBytes(file), *sent.state.layout, base.values));
  CSL_RETURN_IF_ERROR(PutPart(sent.state, moved, trained));
  return file.size();
}

// The next global model, as the sites get it.
Status Aggregate(int round, const std::vector<Update>& updates, Coordinator& coordinator) {
  std::vector<LocalEffort> efforts;
  for (const Update& update : updates) efforts.push_back(update.effort);
  const std::vector<UpdateTerms> terms = TermsOf(coordinator.config, round, efforts);
  std::vector<WeightedUpdate> weighted;
  for (std::size_t i = 0; i < updates.size(); ++i) {
    weighted.push_back({updates[i].state.values, terms[i]});
  }
  if (coordinator.config.combination == Combination::kKrum && weighted.size() >= kLeastForKrum) {
    KrumDistances distances(weighted.size());
    distances.Add(*coordinator.global.layout, weighted, 0, coordinator.global.layout->size());
    weighted = {weighted[distances.Choice()]};
  }
  ModelState next(coordinator.global.layout);
  std::vector<float> moments(next.values.size() *
                             MomentsPerElement(coordinator.config.optimizer.kind));
  MakeNextModel({*next.layout,
                 coordinator.global.values,
                 weighted,
                 coordinator.config.optimizer,
                 coordinator.moments,
                 1,
                 {},
                 coordinator.config.combination},
                0, next.values, moments);
  if (coordinator.config.model_encoding != UpdateEncoding::kFloat32) {
    const EncodedUpdateHead head{.encoding = coordinator.config.model_encoding};
    std::vector<float> residual;
    CSL_ASSIGN_OR_RETURN(const std::string change,
                         EncodeUpdate(head, *next.layout, coordinator.global.values, next.values,
                                      {.seed = static_cast<std::uint64_t>(round)}, residual));
    CSL_ASSIGN_OR_RETURN(next.values,
                         ApplyUpdate(AsBytes(change), *next.layout, coordinator.global.values));
    coordinator.model_bytes += change.size();
  } else {
    coordinator.model_bytes += sizeof(float) * next.values.size();
  }
  coordinator.global = std::move(next);
  coordinator.moments = std::move(moments);
  return OkStatus();
}

// What the coordinator tells in the rounds after the first.
std::vector<std::uint64_t> SumOfTold(const RunConfig& config,
                                     const std::vector<std::unique_ptr<Site>>& sites) {
  if (!config.sums_class_counts) return {};
  std::vector<std::uint64_t> sums(config.model.classes.size());
  for (const auto& site : sites) {
    const auto told = CountsToTell(site->trainee.train_images().class_counts());
    for (std::size_t c = 0; c < sums.size(); ++c) sums[c] += told[c];
  }
  return sums;
}

// Each on the network that the site of that name has, if there is one.
StatusOr<Json> ScoreAll(const Settings& settings, const std::vector<std::unique_ptr<Site>>& sites,
                        const Model& global) {
  Json json = Json::object();
  for (const auto& [name, csv] : settings.scored) {
    Model model = global;
    for (const auto& site : sites) {
      if (site->name == name) model.state = AsOf(*site, global.state);
    }
    CSL_ASSIGN_OR_RETURN(
        const ScoredImages scored,
        ScoreModel(model, SiteOf(settings, csv), {.split = "all", .copies = settings.copies}, {}));
    const Scores& scores = scored.scores;
    Json one = ReportToJson(scores, model.info.spec.classes);
    one["labels"] = scores.labels;
    one["patients"] = scores.patients;
    Json rows = Json::array();
    for (std::size_t i = 0; i < scores.size(); ++i) rows.push_back(scores.row(i));
    one["probabilities"] = std::move(rows);
    json[name] = std::move(one);
  }
  return json;
}

Status Simulate(const Settings& settings) {
  using Clock = std::chrono::steady_clock;
  CSL_ASSIGN_OR_RETURN(const v1::RunPlan plan, ReadPlan(settings.plan));
  CSL_ASSIGN_OR_RETURN(const RunConfig config, ParseRunConfig(plan.SerializeAsString()));
  std::vector<std::unique_ptr<Site>> sites;
  Json described = Json::object();
  for (const auto& [name, csv] : settings.sites) {
    auto& site = sites.emplace_back(
        std::make_unique<Site>(Site{name, Trainee(SiteOf(settings, csv), kScratchFolder), {}}));
    CSL_RETURN_IF_ERROR(site->trainee.Prepare(plan, {}));
    described[name] = site->trainee.train_images().class_counts();
  }
  CSL_ASSIGN_OR_RETURN(Network network, sites.front()->trainee.Initialise(plan));
  if (!settings.initial.empty()) {
    CSL_ASSIGN_OR_RETURN(const Model initial, ReadModel(settings.initial));
    CSL_RETURN_IF_ERROR(network.Load(initial.state));
  }
  Coordinator coordinator{config, network.State(), {}};
  const ModelInfo info{network.spec(), {}};
  CSL_RETURN_IF_ERROR(network.MoveTo(ResolveDevice(settings.common.device())));

  const bool is_scaffold = config.optimizer.kind == ServerOptimizerKind::kControlVariate;
  std::vector<std::uint64_t> told;  // class counts, once a round was done
  Json rounds = Json::array();
  std::uint64_t images = 0;
  std::uint64_t sent = 0;  // bytes of updates
  double train_seconds = 0;
  const auto begin = Clock::now();
  for (int round = 1; round <= static_cast<int>(plan.rounds()); ++round) {
    std::vector<Update> updates;
    Json losses = Json::object();
    for (const auto& site : sites) {
      const ModelState own = AsOf(*site, coordinator.global);
      CSL_RETURN_IF_ERROR(network.Load(own));
      RoundExtras extras{.told_class_counts = told};
      if (is_scaffold) extras.gradient_shift = GradientShift(coordinator.moments, site->control);
      CSL_ASSIGN_OR_RETURN(const TrainReport report,
                           site->trainee.Train(plan, round, network, {}, extras));
      ModelState trained = network.State();
      if (is_scaffold) {
        site->control = NextControlVariate(own, trained, coordinator.moments, site->control,
                                           ReachOf(plan, round, report.steps))
                            .values;
      }
      if (HasLocalPart(*trained.layout)) site->local = LocalPart(trained);
      CSL_ASSIGN_OR_RETURN(const std::size_t bytes,
                           Travel(plan, config, round, info, coordinator.global, *site, trained));
      sent += bytes;
      updates.push_back({std::move(trained), {site->trainee.train_images().size(), report.steps}});
      losses[site->name] = report.loss;
      images += report.examples;
      train_seconds += report.seconds;
    }
    CSL_RETURN_IF_ERROR(Aggregate(round, updates, coordinator));
    told = SumOfTold(config, sites);
    Json record = {{"round", round}, {"train_loss", losses}};
    if (settings.every > 0 && round % settings.every == 0) {
      CSL_ASSIGN_OR_RETURN(record["scores"], ScoreAll(settings, sites, {info, coordinator.global}));
    }
    rounds.push_back(std::move(record));
  }
  const std::chrono::duration<double> seconds = Clock::now() - begin;
  CSL_ASSIGN_OR_RETURN(Json scores, ScoreAll(settings, sites, {info, coordinator.global}));
  if (!settings.model.empty()) {
    CSL_RETURN_IF_ERROR(WriteModel(settings.model, info, coordinator.global));
  }
  const Json result = {{"device", ResolveDevice(settings.common.device())},
                       {"classes", info.spec.classes},
                       {"sites", described},
                       {"seconds", seconds.count()},
                       {"train_seconds", train_seconds},
                       {"images_per_second", static_cast<double>(images) / train_seconds},
                       {"update_bytes", sent},
                       {"model_bytes", coordinator.model_bytes},
                       {"rounds", rounds},
                       {"scores", scores}};
  return WriteFileAtomically(settings.json, result.dump() + "\n");
}

// "NAME=FILE" into a map.
std::function<void(const std::vector<std::string>&)> Into(
    std::map<std::string, std::string>& files) {
  return [&files](const std::vector<std::string>& words) {
    for (const std::string& word : words) {
      const auto equals = word.find('=');
      if (equals == std::string::npos) throw CLI::ValidationError(word, "want NAME=CSV");
      files[word.substr(0, equals)] = word.substr(equals + 1);
    }
  };
}

}  // namespace
}  // namespace consilium

int main(int argc, char** argv) {
  using namespace consilium;
  KeepFreedMemory();  // as consilium-client does
  Settings settings;
  std::string root;
  std::string device = settings.common.device();
  unsigned threads = 0;
  CLI::App app("A federation in one process, for experiments");
  app.add_option("--plan", settings.plan)->required();
  app.add_option_function<std::vector<std::string>>("--site", Into(settings.sites),
                                                    "NAME=CSV, for each")
      ->required();
  app.add_option_function<std::vector<std::string>>("--score", Into(settings.scored),
                                                    "NAME=CSV, for each");
  app.add_option("--every", settings.every, "Score after each so many rounds, too");
  app.add_option("--copies", settings.copies, "Average over so many copies of each image");
  app.add_option("--root", root, "What the CSVs' paths are relative to");
  app.add_option("--device", device);
  app.add_option("--threads", threads);
  app.add_option("--json", settings.json)->required();
  app.add_option("--init", settings.initial, "The model to begin with (default: the plan's seed)");
  app.add_option("--model", settings.model, "Where the last model goes");
  CLI11_PARSE(app, argc, argv);
  settings.common.mutable_data()->set_root(root);
  settings.common.set_device(device);
  settings.common.set_threads(threads);
  if (const Status status = Simulate(settings); !status.ok()) {
    fmt::print(stderr, "{}\n", status.ToString());
    return 1;
  }
  return 0;
}
