#include "client/session/comparison.h"

#include <algorithm>
#include <chrono>

#include "client/nn/cost.h"
#include "client/session/plan_options.h"
#include "client/session/site_images.h"
#include "client/session/trainee.h"
#include "common/config/plan.h"

namespace consilium {
namespace {

constexpr int kWarmUps = 3;
constexpr int kTimes = 15;
constexpr int kTrainSteps = 6;

// Grey noise: what is in a picture does not change the time.
StatusOr<double> Latency(Network& network) {
  const ModelSpec& spec = network.spec();
  Batch batch{
      .count = 1, .channels = spec.channels, .height = spec.input_size, .width = spec.input_size};
  Random random(1);
  batch.pixels.resize(static_cast<std::size_t>(spec.channels) * spec.input_size * spec.input_size);
  for (float& value : batch.pixels) value = static_cast<float>(random.Normal());
  std::vector<double> seconds;
  for (int i = 0; i < kWarmUps + kTimes; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    CSL_RETURN_IF_ERROR(Predict(network, batch).status());
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    if (i >= kWarmUps) seconds.push_back(took.count());
  }
  std::ranges::nth_element(seconds, seconds.begin() + kTimes / 2);
  return seconds[kTimes / 2];
}

// Changes the network.
StatusOr<double> TrainRate(Network& network, const ImageSet& images, const v1::SiteConfig& site,
                           const std::stop_token& stop) {
  Loader loader(images, network.spec(), ToTrainLoader(DefaultPlan(), site));
  TrainOptions options{.steps = kWarmUps, .learning_rate = 1e-6};
  CSL_RETURN_IF_ERROR(Train(network, loader, options, stop).status());
  options.steps = kTrainSteps;
  CSL_ASSIGN_OR_RETURN(const TrainReport report, Train(network, loader, options, stop));
  return static_cast<double>(report.examples) / report.seconds;
}

StatusOr<Compared> Compare(const std::filesystem::path& file, const v1::SiteConfig& site,
                           const std::string& split, const std::stop_token& stop) {
  CSL_ASSIGN_OR_RETURN(const Model model, ReadModel(file));
  Compared compared{.file = file, .spec = model.info.spec};
  compared.bytes = std::filesystem::file_size(file);
  CSL_ASSIGN_OR_RETURN(ScoredImages scored, ScoreModel(model, site, {.split = split}, stop));
  compared.scores = std::move(scored.scores);
  CSL_ASSIGN_OR_RETURN(Network network, Trainee(site, kScratchFolder).Load(model));
  CSL_ASSIGN_OR_RETURN(const NetworkCost cost, CostOf(network));
  compared.parameters = cost.parameters;
  compared.flops = cost.flops;
  CSL_ASSIGN_OR_RETURN(compared.latency_seconds, Latency(network));
  CSL_ASSIGN_OR_RETURN(const ImageSet images,
                       DecodeFor(model.info.spec, scored.examples, site, kScratchFolder, stop));
  CSL_ASSIGN_OR_RETURN(compared.train_images_per_second, TrainRate(network, images, site, stop));
  return compared;
}

}  // namespace

StatusOr<std::vector<Compared>> CompareModels(const std::vector<std::filesystem::path>& files,
                                              const v1::SiteConfig& site, const std::string& split,
                                              const std::stop_token& stop) {
  std::vector<Compared> all;
  for (const std::filesystem::path& file : files) {
    auto compared = Compare(file, site, split, stop);
    if (!compared.ok()) return Annotate(compared.status(), file.string());
    all.push_back(*std::move(compared));
  }
  return all;
}

}  // namespace consilium
