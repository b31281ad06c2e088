#pragma once

// The same trainer without a federation: a hospital by itself, or all data in one place.

#include <filesystem>
#include <functional>
#include <stop_token>

#include "common/base/status.h"
#include "common/metrics/evaluation.h"
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

// Trains for the plan's rounds on the site's data, evaluating before the first and after each, and
// writes the last model to `output`. `initial` empty: from the plan's seed.
Status TrainLocally(const v1::RunPlan& plan, const v1::SiteConfig& site,
                    const std::filesystem::path& initial, const std::filesystem::path& output,
                    const std::stop_token& stop,
                    const std::function<void(const LocalRound&)>& on_round);

// Scores a model file on one split of the site's data ("val", "train", "test" or "all").
StatusOr<Evaluation> EvaluateModel(const Model& model, const v1::SiteConfig& site,
                                   const std::string& split, const std::stop_token& stop);

}  // namespace consilium
