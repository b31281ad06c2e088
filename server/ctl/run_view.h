#pragma once

// A run as people and programs read it.

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/metrics/evaluation.h"
#include "consilium/v1/admin.pb.h"

namespace consilium {

// The scores of one global model: by site, and pooled by adding the sites' counts.
struct ModelScores {
  struct Site {
    std::string name;
    Evaluation evaluation;
  };
  int round = 0;
  std::vector<Site> sites;
  Evaluation pooled;
};

// By round. A model is in it once any site has scored it.
StatusOr<std::vector<ModelScores>> ScoresOf(const v1::GetRunResponse& run);

// Whether every site that will score the model has done so.
bool ScoresAreComplete(const v1::GetRunResponse& run, int round);

// "round  3/10  loss 0.612  accuracy 81.2%  balanced accuracy 76.4%  227 images of 3 sites", with
// the round's training before it where there was one.
std::string RoundLine(const v1::GetRunResponse& run, const ModelScores& scores);

// What the open tasks are at: "round 3 of 10: north training 12 of 40, about 45 s left".
std::string ProgressLine(const v1::GetRunResponse& run);

// All of it, for a terminal: state, sites by round, the last model's scores by site and class.
StatusOr<std::string> DescribeRun(const v1::GetRunResponse& run);

StatusOr<nlohmann::ordered_json> RunToJson(const v1::GetRunResponse& run);

// A page with the run's course and the last model's figures.
StatusOr<std::string> RunToHtml(const v1::GetRunResponse& run);

}  // namespace consilium
