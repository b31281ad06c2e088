#pragma once

// A hospital's data and network, put together for a plan: what trains, with or without a
// federation.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "client/data/image_set.h"
#include "client/data/manifest.h"
#include "client/nn/network.h"
#include "client/train/trainer.h"
#include "common/base/status.h"
#include "common/model/model_file.h"
#include "common/model/model_info.h"
#include "consilium/v1/plan.pb.h"
#include "consilium/v1/site.pb.h"

namespace consilium {

// How a long piece of work is stopped, and whom it tells how far it is: images, batches or steps
// done, and in all.
struct Watch {
  std::stop_token stop;
  std::function<void(std::uint64_t done, std::uint64_t total)> on_progress;
};

// What a round's training is given beside its plan and network.
struct RoundExtras {
  Checkpoints checkpoints;
  std::vector<float> gradient_shift;             // see TrainOptions
  std::vector<std::uint64_t> told_class_counts;  // of all hospitals; empty: weigh by the own ones
};

// Keeps the decoded images between rounds. Not thread-safe.
class Trainee {
 public:
  Trainee(v1::SiteConfig site, std::filesystem::path cache_folder);

  // Reads and decodes what the plan needs, unless it is held already: for a network that labels
  // pixels, the images with a mask of their lungs. `more`: training examples
  // beside those of the site's data, or in the place of those that are the same files; those of
  // other classes than the plan's, or that the site validates with, are left out.
  Status Prepare(const v1::RunPlan& plan, const Watch& watch, const Manifest& more = {});
  // After Prepare.
  const ImageSet& train_images() const { return *train_; }
  const ImageSet& validation_images() const { return *validation_; }

  // The network of the plan's seed.
  StatusOr<Network> Initialise(const v1::RunPlan& plan) const;
  // A network with these tensors, on the site's device.
  StatusOr<Network> Load(const Model& model) const;

  // Scores a network on the validation images.
  StatusOr<Evaluation> Evaluate(const v1::RunPlan& plan, Network& network,
                                const Watch& watch) const;
  // Trains it for a round of the plan, from its beginning or from a state of that training.
  // FAILED_PRECONDITION without training images.
  StatusOr<TrainReport> Train(const v1::RunPlan& plan, int round, Network& network,
                              const Watch& watch, const RoundExtras& extras = {}) const;

 private:
  StatusOr<ImageSet> Decode(const Manifest& examples, const ModelSpec& spec,
                            const std::string& label, const Watch& watch) const;

  const v1::SiteConfig site_;
  const std::filesystem::path cache_folder_;
  ModelSpec spec_;  // that the held images were made for
  Manifest more_;   // that are among them
  std::optional<ImageSet> train_;
  std::optional<ImageSet> validation_;
};

}  // namespace consilium
