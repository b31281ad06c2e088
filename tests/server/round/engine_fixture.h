#pragma once

// A run in the engine alone: what happens to it, one event after another.

#include <gmock/gmock.h>

#include <string>
#include <utility>
#include <vector>

#include "server/round/engine.h"

namespace consilium {

class EngineTest : public ::testing::Test {
 protected:
  // A run with an initial model, in round 1.
  void Start() { run_ = StartRun("r", "plan", config_, ModelVersion{0, "m0", 10}, context_); }
  void StartWithoutModel() { run_ = StartRun("r", "plan", config_, std::nullopt, context_); }

  void Happen(const RunEvent& event) { run_ = Apply(run_, event, context_); }
  void Wait(std::chrono::seconds time) {
    context_.now += time;
    Happen(TimePassed{});
  }
  void Succeed(const std::string& site, double norm = 1) {
    for (const TaskState& task : run_.tasks) {
      if (task.site == site && task.status == TaskStatus::kOpen) {
        Happen(TaskSucceeded{task.id,
                             {.blob_digest = "u-" + site,
                              .train_examples = 5,
                              .update_norm = norm,
                              .evaluation = {}}});
        return;
      }
    }
    FAIL() << "no open task of " << site;
  }
  void Fail(const std::string& site, TaskStatus how = TaskStatus::kFailed) {
    for (const TaskState& task : run_.tasks) {
      if (task.site == site && task.status == TaskStatus::kOpen) {
        Happen(TaskEnded{task.id, how, "out of memory"});
        return;
      }
    }
  }
  std::vector<std::string> Open() const {
    std::vector<std::string> sites;
    for (const TaskState& task : run_.tasks) {
      if (task.status == TaskStatus::kOpen) sites.push_back(task.site);
    }
    return sites;
  }

  RunConfig config_ = {.rounds = 2,
                       .round_attempts = 2,
                       .quorum_fraction = 0.6,
                       .round_deadline = std::chrono::seconds(100),
                       .sites = {},
                       .model = {}};
  RunContext context_ = {.now = FromUnixMillis(1000), .active_sites = {"a", "b", "c"}};
  RunState run_;
};

}  // namespace consilium
