#pragma once

// Runs, alive: the round engine on the store and the blob store, and the hospitals that wait for
// work.
//
// Every change is computed by the engine, written in one transaction, and only then visible and
// answered. What is in memory is what is in the database, so a coordinator that is opened on the
// same folder goes on where the last one was.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/status.h"
#include "server/registry/registry.h"
#include "server/round/engine.h"
#include "server/store/blob_store.h"
#include "server/store/store.h"

namespace consilium {

// A task with all a hospital must know to do it.
struct Assignment {
  TaskState task;
  std::string run_id;
  std::string plan;                   // serialised
  std::optional<ModelVersion> model;  // none for kInitialise
  TimePoint deadline;
};

// What a site says of a task: the result, or how it ended without one.
using TaskReport = std::variant<TaskSucceeded, TaskEnded>;

// Thread-safe. Outlived by what Create is given.
class Coordinator {
 public:
  static StatusOr<std::unique_ptr<Coordinator>> Create(Store& store, BlobStore blobs,
                                                       Registry& registry, const Clock& clock);

  // Starts a run of a serialised, checked plan and gives its id. The initial model is a blob; none
  // where its digest is empty: then a hospital makes it. FAILED_PRECONDITION where fewer sites are
  // active than the quorum or the plan names one that is not, INVALID_ARGUMENT where the initial
  // model is not the plan's network.
  StatusOr<std::string> Submit(const std::string& plan, const std::string& initial_model_digest);
  Status Cancel(const std::string& run_id);
  // Ends the open tasks of a site that was revoked, so that no round waits for it.
  Status EndTasksOf(const std::string& site);
  std::vector<RunState> Runs() const;
  StatusOr<RunState> FindRun(const std::string& run_id) const;

  // The site's task, of its oldest run that has one; the same one again until it is reported.
  StatusOr<std::optional<Assignment>> NextTask(const std::string& site);

  // Calls `ready` once: with the site's next task when there is one, or with none when `until` has
  // passed (seen at the next Work). It may be called before WaitForTask returns, and from any
  // thread.
  using WaitId = std::uint64_t;
  using Ready = std::function<void(StatusOr<std::optional<Assignment>>)>;
  WaitId WaitForTask(const std::string& site, TimePoint until, Ready ready);
  // True if `ready` had not been called and now never will be.
  bool StopWaiting(WaitId id);

  // Takes a report of the site's own task. A result's blob must have been uploaded; it is admitted
  // here, and an inadmissible one is removed and ends the task as failed with INVALID_ARGUMENT.
  // PERMISSION_DENIED for another site's task. A report that comes late changes nothing and gives a
  // note that says so.
  StatusOr<std::string> Report(const std::string& site, const TaskReport& report);

  // OK if the site may upload a blob of that size for the task: it is open, its own, and the size
  // is at most that of a model of its run (for an initial model: kMaxModelBytes).
  Status CheckUpload(const std::string& site, const std::string& task_id,
                     std::uint64_t bytes) const;
  // Whether the blob is a global model, which every site may have.
  bool IsGlobalModel(const std::string& digest) const;

  // Does what time and finished rounds ask for: closes rounds past their deadline, averages, ends
  // waits. Called often by one thread, which sleeps in WaitForWork in between.
  void Work();
  // Until there is work, or for the time given.
  void WaitForWork(std::chrono::milliseconds time);

  const BlobStore& blobs() const { return blobs_; }

 private:
  struct Waiter {
    std::string site;
    TimePoint until;
    Ready ready;
  };

  Coordinator(Store& store, BlobStore blobs, Registry& registry, const Clock& clock)
      : store_(store), blobs_(std::move(blobs)), registry_(registry), clock_(clock) {}

  Status ApplyEvent(const std::string& run_id, const RunEvent& event) ABSL_LOCKS_EXCLUDED(mu_);
  // Read under the lock that an event is applied under: a site that is revoked meanwhile then ends
  // its task after it was opened, not before.
  StatusOr<RunContext> Context() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  StatusOr<std::optional<Assignment>> FindTask(const std::string& site)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Status Advance(RunState& run, const RunEvent& event, const RunContext& context)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The run and task of an id; nullptr where there is none.
  std::pair<const RunState*, const TaskState*> Locate(const std::string& task_id) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Status Admit(const RunState& run, const TaskState& task, TaskResult& result) const;
  // Removes a blob, unless a run needs it, as a global model or as an update yet to be averaged:
  // the mean of one update may be that update, byte for byte, two sites may deliver the same one,
  // and a site may report any digest it knows.
  void Discard(const std::string& digest) const ABSL_LOCKS_EXCLUDED(mu_);
  void AnswerWaiters() ABSL_LOCKS_EXCLUDED(mu_);
  void PassTime() ABSL_LOCKS_EXCLUDED(mu_);
  void AverageRounds() ABSL_LOCKS_EXCLUDED(mu_);

  Store& store_;
  const BlobStore blobs_;
  Registry& registry_;
  const Clock& clock_;

  mutable Mutex mu_;
  CondVar work_cv_;
  bool work_due_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<RunState> runs_ ABSL_GUARDED_BY(mu_);  // oldest first
  WaitId next_wait_ ABSL_GUARDED_BY(mu_) = 1;
  std::map<WaitId, Waiter> waiters_ ABSL_GUARDED_BY(mu_);
};

}  // namespace consilium
