#include "client/session/local.h"

#include <optional>

#include "client/session/plan_options.h"
#include "client/session/site_images.h"
#include "client/session/trainee.h"
#include "client/train/trainer.h"
#include "common/config/plan.h"
#include "common/wire/convert.h"

namespace consilium {
namespace {

StatusOr<Model> InitialModel(const Trainee& trainee, const v1::RunPlan& plan,
                             const std::filesystem::path& path) {
  CSL_ASSIGN_OR_RETURN(const Network network, trainee.Initialise(plan));
  if (path.empty()) return Model{.info = {network.spec(), {}}, .state = network.State()};
  CSL_ASSIGN_OR_RETURN(Model model, ReadModel(path));
  if (model.info.spec != network.spec()) {
    return InvalidArgument("{}: it is {}, the plan wants {}", path.string(),
                           Describe(model.info, *model.state.layout),
                           Describe({network.spec(), {}}, *network.layout()));
  }
  return model;
}

// The model that is kept: the best so far by the chosen figure, or the last.
class Best {
 public:
  Best(const Choice& choice, const std::vector<std::string>& classes)
      : choice_(choice), classes_(classes) {}

  Status Look(int round, const Evaluation& validation, const Network& network) {
    seen_ = round;
    double value = 0;
    if (!choice_.metric.empty()) {
      CSL_ASSIGN_OR_RETURN(value, Goodness(Summarise(validation), classes_, choice_.metric));
      if (state_ && value <= value_) return OkStatus();
    }
    value_ = value;
    round_ = round;
    state_ = network.State();
    return OkStatus();
  }
  bool IsOver() const { return choice_.patience > 0 && seen_ - round_ >= choice_.patience; }
  int round() const { return round_; }
  const ModelState& state() const { return *state_; }

 private:
  const Choice choice_;
  const std::vector<std::string> classes_;
  int seen_ = 0;
  int round_ = 0;
  double value_ = 0;
  std::optional<ModelState> state_;
};

// Makes the probabilities means over these and those of so many copies.
Status AverageOverCopies(Network& network, const ImageSet& images, const v1::SiteConfig& site,
                         int copies, const std::stop_token& stop, Scores& scores) {
  LoaderOptions options = ToEvaluationLoader(DefaultPlan(), site);
  options.augmentation = kSlightChanges;
  std::vector<double> sums(scores.probabilities.begin(), scores.probabilities.end());
  for (int copy = 1; copy <= copies; ++copy) {
    options.seed = static_cast<std::uint64_t>(copy);
    Loader loader(images, network.spec(), options);
    CSL_ASSIGN_OR_RETURN(const Scores of_copies, Score(network, loader, stop));
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += of_copies.probabilities[i];
  }
  for (std::size_t i = 0; i < sums.size(); ++i) {
    scores.probabilities[i] = static_cast<float>(sums[i] / (copies + 1));
  }
  return OkStatus();
}

}  // namespace

Status TrainLocally(const v1::RunPlan& plan, const v1::SiteConfig& site,
                    const std::filesystem::path& initial, const std::filesystem::path& output,
                    const Choice& choice, const std::stop_token& stop,
                    const std::function<void(const LocalRound&)>& on_round) {
  const std::filesystem::path folder = std::filesystem::absolute(output).parent_path();
  if (!std::filesystem::is_directory(folder)) {
    return NotFound("{}: no such folder for the model", folder.string());
  }
  Trainee trainee(site, kScratchFolder);
  const Watch watch{.stop = stop, .on_progress = {}};
  CSL_ASSIGN_OR_RETURN(const Model model, InitialModel(trainee, plan, initial));
  CSL_RETURN_IF_ERROR(trainee.Prepare(plan, watch));
  CSL_ASSIGN_OR_RETURN(Network network, trainee.Load(model));

  LocalRound record;
  CSL_ASSIGN_OR_RETURN(record.validation, trainee.Evaluate(plan, network, watch));
  Best best(choice, network.spec().classes);
  CSL_RETURN_IF_ERROR(best.Look(0, record.validation, network));
  on_round(record);
  for (int round = 1; round <= static_cast<int>(plan.rounds()) && !best.IsOver(); ++round) {
    CSL_ASSIGN_OR_RETURN(const TrainReport report, trainee.Train(plan, round, network, watch));
    record = {.round = round,
              .train_loss = report.loss,
              .train_seconds = report.seconds,
              .waiting_seconds = report.waiting_seconds,
              .images = report.examples,
              .validation = {}};
    CSL_ASSIGN_OR_RETURN(record.validation, trainee.Evaluate(plan, network, watch));
    CSL_RETURN_IF_ERROR(best.Look(round, record.validation, network));
    on_round(record);
  }
  return WriteModel(output, {network.spec(), {.round = best.round()}}, best.state());
}

StatusOr<ScoredImages> ScoreModel(const Model& model, const v1::SiteConfig& site,
                                  const ScoreOptions& options, const std::stop_token& stop) {
  CSL_RETURN_IF_ERROR(CheckNamesPictures(model.info.spec));
  const Trainee trainee(site, kScratchFolder);
  CSL_ASSIGN_OR_RETURN(Network network, trainee.Load(model));
  CSL_ASSIGN_OR_RETURN(const Manifest manifest, ReadSplitManifest(ToDataSource(site.data())));
  CSL_ASSIGN_OR_RETURN(const Manifest examples, SelectSplit(manifest, options.split));
  if (examples.empty()) {
    return InvalidArgument("{}: no image in split '{}'", site.data().path(), options.split);
  }
  CSL_ASSIGN_OR_RETURN(const ImageSet images,
                       DecodeFor(model.info.spec, examples, site, kScratchFolder, stop));
  Loader loader(images, model.info.spec, ToEvaluationLoader(DefaultPlan(), site));
  ScoredImages scored;
  CSL_ASSIGN_OR_RETURN(scored.scores, Score(network, loader, stop));
  if (options.copies > 0) {
    CSL_RETURN_IF_ERROR(
        AverageOverCopies(network, images, site, options.copies, stop, scored.scores));
  }
  scored.scores.patients = images.patients();
  for (const std::size_t i : images.examples()) scored.examples.push_back(examples[i]);
  return scored;
}

}  // namespace consilium
