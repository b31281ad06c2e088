#include "client/session/local.h"

#include "client/session/plan_options.h"
#include "client/session/trainee.h"
#include "common/config/plan.h"
#include "common/wire/convert.h"

namespace consilium {
namespace {

constexpr char kCacheFolder[] = "/tmp";

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

StatusOr<Manifest> SelectSplit(const Manifest& manifest, const std::string& split) {
  if (split == "all") return manifest;
  if (split == "train") return Select(manifest, Split::kTrain);
  if (split == "val") return Select(manifest, Split::kValidation);
  if (split == "test") return Select(manifest, Split::kTest);
  return InvalidArgument("split '{}', want one of: train, val, test, all", split);
}

}  // namespace

Status TrainLocally(const v1::RunPlan& plan, const v1::SiteConfig& site,
                    const std::filesystem::path& initial, const std::filesystem::path& output,
                    const std::stop_token& stop,
                    const std::function<void(const LocalRound&)>& on_round) {
  const std::filesystem::path folder = std::filesystem::absolute(output).parent_path();
  if (!std::filesystem::is_directory(folder)) {
    return NotFound("{}: no such folder for the model", folder.string());
  }
  Trainee trainee(site, kCacheFolder);
  const Watch watch{.stop = stop, .on_progress = {}};
  CSL_ASSIGN_OR_RETURN(const Model model, InitialModel(trainee, plan, initial));
  CSL_RETURN_IF_ERROR(trainee.Prepare(plan, watch));
  CSL_ASSIGN_OR_RETURN(Network network, trainee.Load(model));

  LocalRound record;
  CSL_ASSIGN_OR_RETURN(record.validation, trainee.Evaluate(plan, network, watch));
  on_round(record);
  for (int round = 1; round <= static_cast<int>(plan.rounds()); ++round) {
    CSL_ASSIGN_OR_RETURN(const TrainReport report, trainee.Train(plan, round, network, watch));
    record = {.round = round,
              .train_loss = report.loss,
              .train_seconds = report.seconds,
              .waiting_seconds = report.waiting_seconds,
              .images = report.examples,
              .validation = {}};
    CSL_ASSIGN_OR_RETURN(record.validation, trainee.Evaluate(plan, network, watch));
    on_round(record);
  }
  return WriteModel(output, {network.spec(), {.round = static_cast<int>(plan.rounds())}},
                    network.State());
}

StatusOr<Evaluation> EvaluateModel(const Model& model, const v1::SiteConfig& site,
                                   const std::string& split, const std::stop_token& stop) {
  const Trainee trainee(site, kCacheFolder);
  CSL_ASSIGN_OR_RETURN(Network network, trainee.Load(model));
  CSL_ASSIGN_OR_RETURN(const Manifest manifest, ReadSplitManifest(ToDataSource(site.data())));
  CSL_ASSIGN_OR_RETURN(const Manifest examples, SelectSplit(manifest, split));
  if (examples.empty()) {
    return InvalidArgument("{}: no image in split '{}'", site.data().path(), split);
  }
  CSL_ASSIGN_OR_RETURN(
      const ImageSet images,
      ImageSet::Build(examples, model.info.spec.classes,
                      ToImageSetOptions(site, model.info.spec.input_size, kCacheFolder), stop));
  Loader loader(images, model.info.spec, ToEvaluationLoader(DefaultPlan(), site));
  return Evaluate(network, loader, stop);
}

}  // namespace consilium
