#include "client/session/calibrate.h"

#include <cmath>

#include "client/data/loader.h"
#include "client/session/plan_options.h"
#include "client/session/site_images.h"
#include "client/session/trainee.h"
#include "client/train/embedding.h"
#include "client/train/trainer.h"
#include "common/config/plan.h"
#include "common/metrics/operating_point.h"
#include "common/metrics/temperature.h"

namespace consilium {
namespace {

constexpr std::size_t kMostKnown = 4000;

// A split's images as the network sees them.
struct Seen {
  Scores scores;
  int width = 0;
  std::vector<float> features;
  std::vector<double> energies;
  std::vector<float> layouts;
  Manifest examples;
};

void Add(const Embedding& embedding, const Batch& batch, Seen& seen) {
  seen.width = embedding.width;
  seen.scores.classes = embedding.classes;
  seen.features.insert(seen.features.end(), embedding.features.begin(), embedding.features.end());
  seen.scores.labels.insert(seen.scores.labels.end(), batch.labels.begin(), batch.labels.end());
  const auto classes = static_cast<std::size_t>(embedding.classes);
  for (std::size_t i = 0; i < batch.labels.size(); ++i) {
    const auto logits = std::span(embedding.logits).subspan(i * classes, classes);
    const double energy = Energy(logits);
    seen.energies.push_back(energy);
    for (const float logit : logits) {  // the softmax, since the energy is -log of its sum
      seen.scores.probabilities.push_back(
          static_cast<float>(std::exp(static_cast<double>(logit) + energy)));
    }
  }
}

StatusOr<Seen> See(Network& network, const Manifest& examples, const v1::SiteConfig& site,
                   const std::stop_token& stop) {
  const ModelSpec& spec = network.spec();
  CSL_ASSIGN_OR_RETURN(const ImageSet images,
                       DecodeFor(spec, examples, site, kScratchFolder, stop));
  Loader loader(images, spec, ToEvaluationLoader(DefaultPlan(), site));
  Seen seen;
  loader.StartEpoch(0);
  while (true) {
    if (stop.stop_requested()) return Cancelled("the calibration was stopped");
    CSL_ASSIGN_OR_RETURN(const Batch* batch, loader.Next());
    if (batch == nullptr) break;
    CSL_ASSIGN_OR_RETURN(const Embedding embedding, Embed(network, *batch));
    Add(embedding, *batch, seen);
  }
  seen.scores.patients = images.patients();
  for (const std::size_t i : images.examples()) seen.examples.push_back(examples[i]);
  for (std::size_t i = 0; i < images.size(); ++i) {
    const auto pixels = images.pixels(i);
    const auto layout = LayoutOf({images.side(), images.side(), {pixels.begin(), pixels.end()}});
    seen.layouts.insert(seen.layouts.end(), layout.begin(), layout.end());
  }
  return seen;
}

Manifest EveryNth(const Manifest& examples) {
  const std::size_t stride = (examples.size() + kMostKnown - 1) / kMostKnown;
  Manifest some;
  for (std::size_t i = 0; i < examples.size(); i += stride) some.push_back(examples[i]);
  return some;
}

// Beyond which few of the pictures lie that were held out.
double LimitOf(const KnownPictures& known, std::span<const float> held_out) {
  const auto width = static_cast<std::size_t>(known.width());
  std::vector<double> distances;
  for (std::size_t begin = 0; begin < held_out.size(); begin += width) {
    distances.push_back(known.Distance(held_out.subspan(begin, width)));
  }
  return Quantile(distances, kKnownShare);
}

}  // namespace

StatusOr<Calibration> Calibrate(const Model& model, const std::string& model_digest,
                                const v1::SiteConfig& site, double specificity,
                                const std::stop_token& stop) {
  CSL_RETURN_IF_ERROR(CheckNamesPictures(model.info.spec));
  CSL_ASSIGN_OR_RETURN(const Manifest manifest, ReadSplitManifest(ToDataSource(site.data())));
  const Manifest training = Select(manifest, Split::kTrain);
  const Manifest validation = Select(manifest, Split::kValidation);
  if (training.empty() || validation.empty()) {
    return FailedPrecondition("{}: {} training and {} validation images; both are needed",
                              site.data().path(), training.size(), validation.size());
  }
  CSL_ASSIGN_OR_RETURN(Network network, Trainee(site, kScratchFolder).Load(model));
  CSL_ASSIGN_OR_RETURN(Seen known, See(network, EveryNth(training), site, stop));
  CSL_ASSIGN_OR_RETURN(const Seen held_out, See(network, validation, site, stop));

  Calibration calibration{
      .model_digest = model_digest,
      .classes = model.info.spec.classes,
      .validation_images = held_out.scores.size(),
      .temperature = FitTemperature(held_out.scores),
      .specificity = specificity,
      .known = KnownPictures(known.width, std::move(known.features)),
      .layouts = KnownPictures(kLayoutSide * kLayoutSide, std::move(known.layouts))};
  const Scores sure = AtTemperature(held_out.scores, calibration.temperature);
  for (int c = 0; c < sure.classes; ++c) {
    calibration.thresholds.push_back(ThresholdAtSpecificity(sure, c, specificity));
  }
  for (const Example& example : known.examples) {
    calibration.known_paths.push_back(example.path.string());
    calibration.known_labels.push_back(example.label);
  }
  calibration.distance_limit = LimitOf(calibration.known, held_out.features);
  calibration.layout_limit = LimitOf(calibration.layouts, held_out.layouts);
  calibration.energy_limit = Quantile(held_out.energies, kKnownShare);
  return calibration;
}

}  // namespace consilium
