#pragma once

// What a run is at one moment: plain values, no behaviour. The round engine computes the next one,
// the store keeps it, and nothing else changes it.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/encoding/update_encoding.h"
#include "common/metrics/evaluation.h"
#include "common/model/model_info.h"
#include "common/model/stage.h"
#include "common/schedule/local_work.h"

namespace consilium {

// The numbers are in databases.
enum class RunStatus : std::uint8_t {
  kInitialising = 0,  // a hospital makes the initial model
  kTraining = 1,      // the round's sites train
  kAggregating = 2,   // the updates are being averaged
  kEvaluating = 3,    // the sites score the last global model
  kCompleted = 4,     // every round had every site's update
  kFailed = 5,        // the reason says why
  kCancelled = 6,
  kPaused = 7,    // the round is to be opened when somebody resumes the run; the reason says why
  kDegraded = 8,  // trained to the end, but sites missed rounds; the reason says which
  kAwaitingModel = 9,  // of a region: the higher coordinator is to give the next global model
};
std::string_view RunStatusName(RunStatus status);
// Whether nothing can happen to the run any more.
bool IsFinal(RunStatus status);

enum class TaskKind : std::uint8_t { kInitialise, kTrain, kEvaluate };
std::string_view TaskKindName(TaskKind kind);

enum class TaskStatus : std::uint8_t {
  kOpen,
  kDone,
  kFailed,   // the site said it could not
  kRefused,  // the site's policy said no
  kMissed,   // the round closed without it
};
std::string_view TaskStatusName(TaskStatus status);

// What a site delivered.
struct TaskResult {
  std::string blob_digest;           // the update or initial model; empty for an evaluation
  std::uint64_t blob_bytes = 0;      // of what the site sent
  std::uint64_t train_examples = 0;  // the update's weight
  std::uint64_t steps = 0;           // batches that were trained on
  double train_loss = 0;
  double train_seconds = 0;
  double update_norm = 0;  // L2, of what the update changes in the global model's parameters
  Evaluation evaluation;   // of the global model that the task came with
  std::vector<std::uint64_t> class_counts;  // of the training examples, where the plan asks

  bool operator==(const TaskResult&) const = default;
};

struct TaskState {
  std::string id;  // RUN.rROUND.SITE.KIND, and .aATTEMPT where the round is tried again
  std::string site;
  int round = 0;
  TaskKind kind = TaskKind::kTrain;
  TaskStatus status = TaskStatus::kOpen;
  std::string reason;
  TaskResult result;

  bool operator==(const TaskState&) const = default;
};

// A global model: version 0 is the initial one, version r the result of round r.
struct ModelVersion {
  int round = 0;
  std::string digest;
  std::uint64_t bytes = 0;
  std::string moments_digest;  // what the server's optimiser goes on with; empty: nothing
  // What it changes of the one before, encoded, as the plan may want it to travel; empty: nothing.
  std::string change_digest;
  std::uint64_t change_bytes = 0;

  bool operator==(const ModelVersion&) const = default;
};

// A site that a round was closed without.
struct Miss {
  int round = 0;  // after the last one: the final evaluation
  std::string site;
  std::string reason;

  bool operator==(const Miss&) const = default;
};

// What becomes of an update that comes after its round was closed.
enum class LateUpdates : std::uint8_t { kDrop, kNextRound };

// What becomes of a round's average; see server/aggregate/server_optimizer.h.
enum class ServerOptimizerKind : std::uint8_t {
  kAverage,
  kMomentum,
  kAdagrad,
  kAdam,
  kYogi,
  kControlVariate,  // the average; its one moment is SCAFFOLD's c, see control_variate.h there
};
struct ServerOptimizer {
  ServerOptimizerKind kind = ServerOptimizerKind::kAverage;
  double learning_rate = 1;
  double beta1 = 0;  // of the momentum
  double beta2 = 0;  // of the squares: Adam and Yogi
  double tau = 0;    // the least that a step is divided by: the adaptive ones

  bool operator==(const ServerOptimizer&) const = default;
};

// How a round's updates become one: see server/aggregate/weighted_mean.h, trimmed_mean.h and
// krum.h.
enum class Combination : std::uint8_t {
  kMean,         // weighted with the sites' examples
  kMedian,       // of each element
  kTrimmedMean,  // of each element, without the fifth that is lowest and the fifth that is highest
  kKrum,         // one update, of three or more; the plain mean of fewer
};

// How much a site trains in a round.
struct LocalWork {
  int epochs = 0;
  int steps = 0;  // if above 0, this many batches instead of epochs
  int batch_size = 0;
  double momentum = 0;
  double learning_rate = 0;
  Schedule schedule = Schedule::kConstant;
  double warmup = 0;

  bool operator==(const LocalWork&) const = default;
};

// What the coordinator needs of a plan.
struct RunConfig {
  int rounds = 1;
  int round_attempts = 1;  // below the quorum, before the run pauses
  LateUpdates late_updates = LateUpdates::kDrop;
  double quorum_fraction = 1;  // of the round's sites
  int quorum_count = 0;        // instead of the fraction, if above 0
  std::chrono::seconds round_deadline{3600};
  std::vector<std::string> sites;  // empty: every active site
  ModelSpec model;
  double max_norm = 0;                   // of an update; 0: any
  double max_norm_ratio = 0;             // to the median of the round's updates; 0: any
  std::uint64_t max_train_examples = 0;  // 0: any
  ServerOptimizer optimizer;
  Combination combination = Combination::kMean;
  bool normalise = false;  // FedNova: updates are averaged a step, see server/aggregate/nova.h
  LocalWork local;
  std::vector<Stage> stages;       // of the network; see common/model/stage.h
  bool sums_class_counts = false;  // the sites weigh classes by what all have
  UpdateEncoding update_encoding = UpdateEncoding::kFloat32;
  UpdateEncoding model_encoding = UpdateEncoding::kFloat32;  // of global models on their way out

  bool operator==(const RunConfig&) const = default;
};

struct RunState {
  std::string id;
  std::string plan;  // serialised; opaque here
  RunConfig config;  // what the plan says
  RunStatus status = RunStatus::kInitialising;
  std::string reason;
  int round = 0;
  int attempt = 1;          // at this round; the next one asks the sites that have not delivered
  bool pausing = false;     // somebody asked for a pause: at the round's end
  int initialisations = 0;  // how often a site was asked to make the initial model
  // The run is a higher coordinator's, which gives its global models. What this coordinator's sites
  // made of the last one waits here to be delivered: the rounds' averages, or the initial model.
  bool follows = false;
  ModelVersion regional;  // an empty digest: none
  TimePoint deadline;     // of what the run waits for
  TimePoint created;
  TimePoint ended;                   // once the status is final
  std::vector<TaskState> tasks;      // of the current round and the one before, each by site
  std::vector<ModelVersion> models;  // by round
  std::vector<Miss> misses;          // by round, then site

  bool operator==(const RunState&) const = default;
};

// Training examples by class, of all sites that delivered in the round before this one; empty where
// the plan does not ask for them or none has told.
std::vector<std::uint64_t> SummedClassCounts(const RunState& run, int round);

// The blob that the run's sites train with beside its newest model (SCAFFOLD's c, as the
// optimiser's moments lie in the store); empty: none.
std::string ControlVariateOf(const RunState& run);

// The blob of what the run's newest model changes of the one before; empty: none.
std::string ChangeOf(const RunState& run);

// The blobs of what the current round has brought and is yet to be used: its updates, or in a run
// that follows what they came to.
std::vector<std::string> UnusedResults(const RunState& run);

// The current round's tasks that have delivered, by site, whichever attempt it was.
std::map<std::string, const TaskState*> DeliveredTasks(const RunState& run);

}  // namespace consilium
