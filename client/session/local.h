#pragma once

// The same trainer without a federation: a hospital by itself, or all data in one place.

#include <filesystem>
#include <functional>
#include <stop_token>

#include "client/data/manifest.h"
#include "common/base/status.h"
#include "common/metrics/scores.h"
#include "common/model/model_file.h"
#include "consilium/v1/plan.pb.h"
#include "consilium/v1/site.pb.h"

namespace consilium {

struct LocalRound {
  int round = 0;  // 0: before any training
  double train_loss = 0;
  double train_seconds = 0;
  double waiting_seconds = 0;
  std::uint64_t images = 0;  // seen in training
  Evaluation validation;
};

// Which model is kept, and when to stop before the last round.
struct Choice {
  std::string metric;  // a figure of the validation images, see Goodness; empty: the last model
  int patience = 0;    // stop after so many rounds without a better one; 0: train to the end
};

// Trains for the plan's rounds on the site's data, evaluating before the first and after each, and
// writes the chosen model to `output`. `initial` empty: from the plan's seed. INVALID_ARGUMENT for
// a metric that does not exist, before anything is trained.
Status TrainLocally(const v1::RunPlan& plan, const v1::SiteConfig& site,
                    const std::filesystem::path& initial, const std::filesystem::path& output,
                    const Choice& choice, const std::stop_token& stop,
                    const std::function<void(const LocalRound&)>& on_round);

// What to score a model on.
struct ScoreOptions {
  std::string split = "val";  // or train, test, all
  int copies = 0;  // test-time averaging: probabilities are means over the picture and so many
                   // slightly changed copies of it (kSlightChanges)
};

// A model's scores on a split of the site's data, and which image each row is of.
struct ScoredImages {
  Scores scores;
  Manifest examples;
};
StatusOr<ScoredImages> ScoreModel(const Model& model, const v1::SiteConfig& site,
                                  const ScoreOptions& options, const std::stop_token& stop);

}  // namespace consilium
