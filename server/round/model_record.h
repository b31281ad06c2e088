#pragma once

// What a coordinator knows of one of its global models: who made it, and how it was scored. Pure.

#include <string>
#include <vector>

#include "server/state/run_state.h"

namespace consilium {

struct ModelRecord {
  std::string run_id;
  std::string plan;  // serialised
  ModelVersion version;
  ModelSpec spec;
  std::string parent_digest;  // empty for an initial model, and where it is not known here
  struct Participant {
    std::string site;
    std::uint64_t train_examples = 0;
    std::string update_digest;
  };
  std::vector<Participant> participants;  // by site
  struct SiteEvaluation {
    std::string site;
    Evaluation evaluation;
  };
  std::vector<SiteEvaluation> site_evaluations;  // of the sites that have scored it, by site
  Evaluation evaluation;                         // theirs, summed
};

// How a model does at a site, for all to read.
struct SiteScore {
  std::string site;
  std::uint64_t examples = 0;
  double accuracy = 0;
  double balanced_accuracy = 0;  // over the classes that the site has
};

// Of the sites that have at least five examples of each class that they have. Where that leaves out
// one site alone, which the sum of all would give away, the smallest of the others is left out,
// too.
std::vector<SiteScore> ScoresToTell(const std::vector<ModelRecord::SiteEvaluation>& evaluations);

// Of the run's model of that round, which it must have, from the run's tasks of that round and the
// one after.
ModelRecord RecordOf(const RunState& run, int round, const std::vector<TaskState>& tasks);

}  // namespace consilium
