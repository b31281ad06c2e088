#pragma once

// The round engine: a run's next state, from its state and what happened. Pure: no clock, no disk,
// no network, so a test walks it through any history and a crash repeats nothing. The states and
// the ways between them are drawn in server/README.md.
//
// A round closes when every site's task has ended, or at its deadline. The updates delivered by
// then must reach the quorum; if they do not, the sites that have not delivered are asked again, a
// number of times that the plan says, and then the run pauses until somebody resumes it. Before
// they are counted, updates are taken back whose norm is out of all proportion, where the plan says
// so.
//
// A run may follow a higher coordinator's (a region does): then what a round's updates come to is
// delivered there, and each round begins with the global model that comes from there.

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/status.h"
#include "server/state/run_state.h"

namespace consilium {

// A site asks for work. Matters only while the initial model is wanted: the first to ask makes it.
struct SiteAsked {
  std::string site;
};
// A site reports an open task; the result has passed admission.
struct TaskSucceeded {
  std::string task_id;
  TaskResult result;
};
struct TaskEnded {
  std::string task_id;
  TaskStatus status = TaskStatus::kFailed;  // or kRefused, kMissed
  std::string reason;
};
// An update that was delivered for the current round is lost. Its site is asked for it again, if it
// may still take part: at once, or where the run is PAUSED when it goes on.
struct UpdateLost {
  std::string task_id;
};
// The updates of an AGGREGATING round have become a model.
struct RoundAveraged {
  ModelVersion model;
};
// The higher coordinator has given a global model, and asks for what the round after it makes of
// that; again, where it has given it before. Whatever else the run was at is not wanted any more.
struct ModelGiven {
  ModelVersion model;
  TimePoint deadline;  // by which that must be made
};
// The higher coordinator does not wait for this round any more.
struct RoundUnwanted {
  int round = 0;
};
// The updates of an AGGREGATING round do not become a model.
struct RunBroken {
  int round = 0;
  std::string reason;
};
// Time has passed; the engine looks whether a deadline did.
struct TimePassed {};
// The run stops where its current round ends, and waits.
struct PauseRequested {};
struct ResumeRequested {};
struct CancelRequested {};
// A site may no longer take part: its open task ends.
struct SiteRevoked {
  std::string site;
};

using RunEvent = std::variant<SiteAsked, TaskSucceeded, TaskEnded, UpdateLost, RoundAveraged,
                              ModelGiven, RoundUnwanted, RunBroken, TimePassed, PauseRequested,
                              ResumeRequested, CancelRequested, SiteRevoked>;

// What the engine must know of the world at an event.
struct RunContext {
  TimePoint now;
  std::vector<std::string> active_sites;  // sorted
};

// A run as submitted: in its first round where an initial model is given, waiting for one
// otherwise.
RunState StartRun(std::string id, std::string plan, RunConfig config,
                  std::optional<ModelVersion> initial_model, const RunContext& context);

// The same of a run that follows: in the round after the model's, or waiting for a site to make one
// for the higher coordinator. Whatever such a run comes to, it is there for the next model: of
// those that end, it only knows COMPLETED, DEGRADED and CANCELLED.
RunState StartFollowing(std::string id, std::string plan, RunConfig config,
                        const std::optional<ModelGiven>& given, const RunContext& context);

// The state after the event. An event that means nothing in this state (a late report, a second
// cancel) leaves it as it is.
RunState Apply(RunState run, const RunEvent& event, const RunContext& context);

// Whether the run waits for sites, and no longer than until its deadline.
bool IsTimed(const RunState& run);

// Whether an admin's request can change a run in this state at all; the coordinator tells the admin
// so otherwise.
bool CanPause(const RunState& run);
bool CanResume(const RunState& run);

}  // namespace consilium
