#include "client/session/plan_options.h"

#include <algorithm>
#include <numeric>
#include <thread>

#include "client/train/class_weights.h"

namespace consilium {
namespace {

constexpr int kEvaluationBatch = 64;
constexpr std::uint64_t kBytesPerMb = 1 << 20;

int WorkersOf(const v1::SiteConfig& site) {
  const std::uint32_t workers = site.data().workers() > 0 ? site.data().workers() : site.threads();
  return workers > 0 ? static_cast<int>(workers)
                     : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

std::vector<int> AbsentClasses(const std::vector<std::uint64_t>& class_counts) {
  std::vector<int> absent;
  for (std::size_t c = 0; c < class_counts.size(); ++c) {
    if (class_counts[c] == 0) absent.push_back(static_cast<int>(c));
  }
  return absent;
}

// Orders of the examples that a round's training begins: no two rounds begin the same one.
std::uint64_t EpochsInRound(const v1::Training& training,
                            const std::vector<std::uint64_t>& class_counts) {
  if (training.local_steps() == 0) return training.local_epochs();
  const std::uint64_t examples =
      std::accumulate(class_counts.begin(), class_counts.end(), std::uint64_t{0});
  const std::uint64_t batches =
      std::max<std::uint64_t>(1, (examples + training.batch_size() - 1) / training.batch_size());
  return (training.local_steps() + batches - 1) / batches;
}

Augmentation ToAugmentation(const v1::Augmentation& message) {
  return {.rotation_degrees = message.rotation_degrees(),
          .shift = message.shift(),
          .scale = message.scale(),
          .contrast = message.contrast(),
          .brightness = message.brightness(),
          .horizontal_flip = message.horizontal_flip(),
          .cutout = message.cutout()};
}

OptimizerKind ToOptimizer(const std::string& optimizer) {
  if (optimizer == "adamw") return OptimizerKind::kAdamW;
  if (optimizer == "lamb") return OptimizerKind::kLamb;
  return OptimizerKind::kSgd;
}

Sampling ToSampling(const std::string& sampler) {
  if (sampler == "class_balanced") return Sampling::kClassBalanced;
  if (sampler == "patient_balanced") return Sampling::kPatientBalanced;
  return Sampling::kShuffled;
}

}  // namespace

StatusOr<TrainOptions> ToTrainOptions(const v1::RunPlan& plan, int round,
                                      const std::vector<std::uint64_t>& class_counts,
                                      const std::vector<std::uint64_t>& told_class_counts) {
  const v1::Training& training = plan.training();
  const auto rounds = static_cast<double>(plan.rounds());
  TrainOptions options{
      .epochs = static_cast<int>(training.local_epochs()),
      .steps = static_cast<int>(training.local_steps()),
      .optimizer = ToOptimizer(training.optimizer()),
      .learning_rate = training.learning_rate(),
      .momentum = training.momentum(),
      .weight_decay = training.weight_decay(),
      .schedule = ScheduleOf(training.schedule()),
      .warmup = training.warmup(),
      .clip_norm = training.clip_norm(),
      .loss = training.loss() == "focal" ? LossKind::kFocal : LossKind::kCrossEntropy,
      .focal_gamma = training.focal_gamma(),
      .label_smoothing = training.label_smoothing(),
      .mixup_alpha = training.mixup_alpha(),
      .class_weights = {},
      .proximal_mu = plan.strategy().proximal_mu(),
      .ema_decay = training.ema_decay(),
      .micro_batch = static_cast<int>(training.micro_batch_size()),
      .seed = plan.seed() + static_cast<std::uint64_t>(round),
      .first_epoch = static_cast<std::uint64_t>(round - 1) * EpochsInRound(training, class_counts),
      .progress_begin = (round - 1) / rounds,
      .progress_end = round / rounds};
  CSL_ASSIGN_OR_RETURN(
      options.class_weights,
      ClassWeights(training.class_weights(), CountsToWeighBy(class_counts, told_class_counts)));
  if (training.restrict_softmax()) options.absent_classes = AbsentClasses(class_counts);
  return options;
}

double ReachOf(const v1::RunPlan& plan, int round, std::uint64_t steps) {
  const v1::Training& training = plan.training();
  return training.learning_rate() *
         RateFactorOfRound(ScheduleOf(training.schedule()), training.warmup(), round,
                           static_cast<int>(plan.rounds())) *
         LocalProgress(steps, training.momentum());
}

LoaderOptions ToTrainLoader(const v1::RunPlan& plan, const v1::SiteConfig& site) {
  return {.batch_size = static_cast<int>(plan.training().batch_size()),
          .sampling = ToSampling(plan.training().sampler()),
          .augmentation = ToAugmentation(plan.training().augmentation()),
          .seed = plan.seed(),
          .workers = WorkersOf(site)};
}

LoaderOptions ToEvaluationLoader(const v1::RunPlan& plan, const v1::SiteConfig& site) {
  return {.batch_size = kEvaluationBatch,
          .sampling = Sampling::kInOrder,
          .augmentation = {},
          .seed = plan.seed(),
          .workers = WorkersOf(site)};
}

DataSource ToDataSource(const v1::SiteData& data) {
  return {.path = data.path(),
          .root = data.root(),
          .validation = data.validation(),
          .validation_fraction = data.validation_fraction()};
}

PixelSources ToPixelSources(const v1::SiteData& data) {
  return {.lungs = {data.lung_masks().begin(), data.lung_masks().end()},
          .opacities = {data.opacity_masks().begin(), data.opacity_masks().end()},
          .severity = data.severity()};
}

ImageSetOptions ToImageSetOptions(const v1::SiteConfig& site, const ModelSpec& spec,
                                  const std::filesystem::path& cache_folder) {
  return {.side = spec.input_size,
          .window = {spec.window_center, spec.window_width},
          .workers = WorkersOf(site),
          .max_unreadable = site.data().max_unreadable(),
          .memory_bytes = site.data().cache_memory_mb() * kBytesPerMb,
          .cache_folder = cache_folder};
}

}  // namespace consilium
