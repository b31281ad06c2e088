#pragma once

// The task in hand, on disk: so that a hospital that dies in the middle of training goes on from
// there, and does not train again what it has finished, whether it comes to deliver it or its
// coordinator has lost it since.

#include <filesystem>
#include <optional>
#include <string>

#include "client/train/trainer.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/metrics/evaluation.h"
#include "consilium/v1/checkpoint.pb.h"

namespace consilium {

// One task at a time; another one's files are replaced. A file that is damaged or of another task
// counts as none: the work is done again. Not thread-safe.
class TaskStore {
 public:
  // Uses the folder, which is made when first needed, for one process at a time: removes what one
  // before it was writing when it died.
  explicit TaskStore(std::filesystem::path folder);

  struct Checkpoint {
    Evaluation evaluation;  // of the global model
    TrainState state;
  };
  Status KeepCheckpoint(const v1::TaskKey& task, const Evaluation& evaluation,
                        const TrainState& state) const;
  std::optional<Checkpoint> FindCheckpoint(const v1::TaskKey& task) const;
  // The task that a checkpoint is there of; empty: none.
  std::string CheckpointedTask() const;

  struct Finished {
    v1::TaskKey task;
    v1::TaskResult result;
    std::string update;  // the model file; result.blob_digest is its SHA-256
    double update_norm = 0;
  };
  Status KeepFinished(const Finished& finished) const;
  // The one that is there and was not delivered, of whichever task.
  std::optional<Finished> LastFinished() const;
  // Of any training images: what was trained was trained. Of the task that was delivered last, too:
  // a coordinator that lost an update asks for it again.
  std::optional<Finished> FindFinished(const v1::TaskKey& task) const;

  // Where to write down what has come of a global model; another one's is removed.
  std::filesystem::path PartOf(const std::string& digest) const;

  // The file of a global model that the next one may come as a change of; another one's is removed.
  Status KeepModel(const std::string& digest, std::string_view file) const;
  // NOT_FOUND unless it is there. What has become of its bytes since, whoever uses it finds out.
  StatusOr<MappedFile> FindModel(const std::string& digest) const;
  void ForgetModels() const;

  // Once the coordinator has answered the report. The models stay, and so does what was finished,
  // as delivered.
  void Clear() const;

 private:
  std::filesystem::path folder_;
};

}  // namespace consilium
