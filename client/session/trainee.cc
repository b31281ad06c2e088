#include "client/session/trainee.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <iterator>
#include <map>

#include "client/session/plan_options.h"
#include "client/session/site_images.h"
#include "client/train/replicas.h"
#include "common/base/file.h"
#include "common/cli/cli.h"
#include "common/crypto/digest.h"
#include "common/wire/convert.h"

namespace consilium {
namespace {

// Whether two networks are fed with the same decoded images.
bool SeeTheSame(const ModelSpec& a, const ModelSpec& b) {
  return LabelsPixels(a) == LabelsPixels(b) && a.input_size == b.input_size &&
         a.classes == b.classes && a.window_center == b.window_center &&
         a.window_width == b.window_width;
}

Manifest OfClasses(const Manifest& examples, const std::vector<std::string>& classes) {
  Manifest chosen;
  std::ranges::copy_if(examples, std::back_inserter(chosen), [&](const Example& one) {
    return std::ranges::count(classes, one.label) > 0;
  });
  return chosen;
}

// Of a file's bytes; empty where it is none, as a frame of one is.
std::string DigestOf(const std::filesystem::path& path) {
  const auto file = MappedFile::Open(path);
  return file.ok() ? Sha256Of(file->bytes()) : "";
}

// The training examples with those of `more`: in the place of one that is the same file, and
// without those that are held out for validation or testing.
Manifest WithMore(const Manifest& manifest, const Manifest& more) {
  Manifest train = Select(manifest, Split::kTrain);
  if (more.empty()) return train;
  std::map<std::string, const Example*> known;
  for (const Example& example : manifest) known[DigestOf(example.path)] = &example;
  for (const Example& example : more) {
    const auto same = known.find(DigestOf(example.path));
    if (same == known.end() || same->first.empty()) {
      train.push_back(example);
    } else if (same->second->split == Split::kTrain) {
      std::ranges::find(train, same->second->path, &Example::path)->label = example.label;
    } else {
      spdlog::warn("{}: not trained on, it is an image to validate with",
                   example.path.filename().string());
    }
  }
  return train;
}

}  // namespace

Trainee::Trainee(v1::SiteConfig site, std::filesystem::path cache_folder)
    : site_(std::move(site)), cache_folder_(std::move(cache_folder)) {
  SetThreads(static_cast<int>(site_.threads()));
}

Status Trainee::Prepare(const v1::RunPlan& plan, const Watch& watch, const Manifest& more) {
  CSL_ASSIGN_OR_RETURN(const ModelSpec spec, FromProto(plan.model()));
  if (train_ && SeeTheSame(spec, spec_) && more == more_) return OkStatus();
  train_.reset();
  validation_.reset();
  if (site_.data().path().empty()) {
    return FailedPrecondition("site.yaml has no data.path: say where this hospital's images are");
  }
  CSL_ASSIGN_OR_RETURN(const Manifest manifest, ReadSplitManifest(ToDataSource(site_.data())));
  spec_ = spec;
  more_ = more;
  const Manifest train = WithMore(manifest, OfClasses(more, spec.classes));
  CSL_ASSIGN_OR_RETURN(validation_,
                       Decode(Select(manifest, Split::kValidation), spec, "validation", watch));
  CSL_ASSIGN_OR_RETURN(train_, Decode(train, spec, "training", watch));
  return OkStatus();
}

StatusOr<ImageSet> Trainee::Decode(const Manifest& examples, const ModelSpec& spec,
                                   const std::string& label, const Watch& watch) const {
  Progress bar(fmt::format("decoding {} images", label), examples.size());
  CSL_ASSIGN_OR_RETURN(ImageSet images, DecodeFor(spec, examples, site_, cache_folder_, watch.stop,
                                                  [&](std::size_t done, std::size_t total) {
                                                    bar.Advance(done);
                                                    if (watch.on_progress)
                                                      watch.on_progress(done, total);
                                                  }));
  for (const std::string& line : images.unreadable()) spdlog::warn("left out: {}", line);
  std::string counts;
  for (std::size_t c = 0; c < images.classes().size(); ++c) {
    counts += fmt::format("{}{} {}", counts.empty() ? "" : ", ", images.classes()[c],
                          images.class_counts()[c]);
  }
  spdlog::info("{} {} images ({})", images.size(), label, counts);
  return images;
}

StatusOr<Network> Trainee::Initialise(const v1::RunPlan& plan) const {
  CSL_ASSIGN_OR_RETURN(const ModelSpec spec, FromProto(plan.model()));
  return Network::Create(spec, plan.seed());
}

StatusOr<Network> Trainee::Load(const Model& model) const {
  CSL_ASSIGN_OR_RETURN(Network network, Network::Create(model.info.spec, /*seed=*/0));
  CSL_RETURN_IF_ERROR(network.Load(model.state));
  const std::string device = ResolveDevice(site_.device());
  CSL_RETURN_IF_ERROR(network.MoveTo(device));
  if (site_.precision() != "auto") network.UseMixedPrecision(site_.precision() == "bfloat16");
  if (site_.precision() == "bfloat16" && device == "cpu" && !CpuHasBfloat16()) {
    spdlog::warn("precision: bfloat16 makes this CPU slower, which has no arithmetic of that kind");
  }
  return network;
}

StatusOr<Evaluation> Trainee::Evaluate(const v1::RunPlan& plan, Network& network,
                                       const Watch& watch) const {
  Loader loader(*validation_, network.spec(), ToEvaluationLoader(plan, site_));
  return consilium::Evaluate(network, loader, watch.stop, watch.on_progress);
}

StatusOr<TrainReport> Trainee::Train(const v1::RunPlan& plan, int round, Network& network,
                                     const Watch& watch, const RoundExtras& extras) const {
  if (train_->size() == 0) {
    return FailedPrecondition("this hospital has no training image{}",
                              LabelsPixels(spec_) ? " with a mask in data.lung_masks" : "");
  }
  CSL_ASSIGN_OR_RETURN(TrainOptions options, ToTrainOptions(plan, round, train_->class_counts(),
                                                            extras.told_class_counts));
  options.gradient_shift = extras.gradient_shift;
  if (const std::vector<Stage> stages = StagesOf(plan); !stages.empty()) {
    CSL_RETURN_IF_ERROR(CheckStages(*network.layout(), stages));
    options.tensor_rates =
        StageRates(*network.layout(), stages, round, static_cast<int>(plan.rounds()));
  }
  LoaderOptions loading = ToTrainLoader(plan, site_);
  loading.parts =
      ResolveReplicas(static_cast<int>(site_.replicas()), ResolveDevice(site_.device()));
  loading.workers = std::max(1, loading.workers / loading.parts);
  std::vector<std::unique_ptr<BatchSource>> parts;
  for (loading.part = 0; loading.part < loading.parts; ++loading.part) {
    parts.push_back(std::make_unique<Loader>(*train_, network.spec(), loading));
  }
  std::unique_ptr<Progress> bar;
  const auto on_step = [&](std::uint64_t done, std::uint64_t total) {
    if (!bar) bar = std::make_unique<Progress>(fmt::format("round {}", round), total);
    bar->Advance(done);
    if (watch.on_progress) watch.on_progress(done, total);
  };
  if (parts.size() == 1) {
    return consilium::Train(network, *parts[0], options, watch.stop, on_step, extras.checkpoints);
  }
  spdlog::info("every batch is shared out among {} replicas", parts.size());
  return TrainReplicas(network, parts, options, watch.stop, on_step, extras.checkpoints);
}

}  // namespace consilium
