#pragma once

// How a run went, round by round, as a hospital keeps it for its own page: in course/ of its
// folder, a file of what it found itself and one of what the coordinator says. A run's name comes
// from elsewhere; its hash is the files' name.

#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "common/base/status.h"
#include "common/metrics/evaluation.h"

namespace consilium {

using EvaluationsByRound = std::map<int, Evaluation>;

// Its state is the file system's; one process at a time may note own figures of a run, and one
// pooled ones.
class RunCourse {
 public:
  explicit RunCourse(const std::filesystem::path& folder) : folder_(folder / "course") {}

  // What the global model of a round (0 is the initial one) comes to: on the hospital's own
  // validation images, or on those of all that have scored it, as the coordinator has signed it. In
  // the place of what was noted of that round before. Nothing for an evaluation without examples.
  Status NoteOwn(const std::string& run, int round, const Evaluation& evaluation) const;
  Status NotePooled(const std::string& run, const EvaluationsByRound& evaluations) const;

  // {"own": {ROUND: {"balanced_accuracy", "loss"}}, "pooled": likewise}; empty where nothing is
  // known.
  StatusOr<nlohmann::ordered_json> Read(const std::string& run) const;

 private:
  std::filesystem::path PathOf(const std::string& run, const std::string& whose) const;
  Status Note(const std::filesystem::path& path, const EvaluationsByRound& evaluations) const;

  const std::filesystem::path folder_;
};

}  // namespace consilium
