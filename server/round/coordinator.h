#pragma once

// Runs, alive: the round engine on the store and the blob store, and the hospitals that wait for
// work.
//
// Every change is computed by the engine, written in one transaction, and only then visible and
// answered; before that it stands in the audit trail. What is in memory is what is in the database,
// so a coordinator that is opened on the same folder goes on where the last one was.
//
// coordinator.cc has runs and who gets which task, coordinator_follow.cc runs that are a higher
// coordinator's, coordinator_reports.cc what hospitals deliver, coordinator_work.cc what the worker
// does.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/audit/trail.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/status.h"
#include "server/aggregate/round_average.h"
#include "server/registry/registry.h"
#include "server/round/arriving_update.h"
#include "server/round/engine.h"
#include "server/round/model_record.h"
#include "server/round/progress.h"
#include "server/store/blob_store.h"
#include "server/store/store.h"

namespace consilium {

// A task with all a hospital must know to do it.
struct Assignment {
  TaskState task;
  std::string run_id;
  std::string plan;                         // serialised
  std::optional<ModelVersion> model;        // none for kInitialise
  std::string base_digest;                  // of the model that its change is one of; empty: none
  std::string control_variate;              // the digest of a kTrain task's; empty: none
  std::vector<std::uint64_t> class_counts;  // of a kTrain task: see SummedClassCounts
  TimePoint deadline;
  std::chrono::seconds round_deadline{0};  // the plan's
  std::size_t cohort_sites = 0;            // that the round asks
};

// What becomes of a task that a site is at.
enum class TaskStanding : std::uint8_t {
  kOpen,
  kLate,   // it was missed, but its result may still count
  kEnded,  // nothing that comes of it is wanted any more
};

// What a site says of a task: the result, or how it ended without one.
using TaskReport = std::variant<TaskSucceeded, TaskEnded>;

// The owner of an admin's uploads.
std::string UploaderOf(const std::string& admin);

// The owner of what comes from a higher coordinator.
inline constexpr char kHigherCoordinator[] = "higher";

// Thread-safe. Outlived by what Create is given.
class Coordinator {
 public:
  static StatusOr<std::unique_ptr<Coordinator>> Create(Store& store, BlobStore blobs,
                                                       Registry& registry, AuditTrail& trail,
                                                       const Clock& clock);

  // Starts a run of a serialised, checked plan and gives its id. The initial model is a global
  // model or the admin's whole upload; none where its digest is empty: then a hospital makes it.
  // FAILED_PRECONDITION where fewer sites are active than the quorum or the plan names one that is
  // not, INVALID_ARGUMENT where the initial model is not the plan's network.
  StatusOr<std::string> Submit(const std::string& plan, const std::string& initial_model_digest,
                               const std::string& admin);
  // Lets this coordinator's sites do what a higher one asks for in a run of its own, which has the
  // same id here: the round after the model's, from a whole upload or blob of kHigherCoordinator;
  // without one, an initial model. Nothing where it was asked for and is under way, or done.
  // FAILED_PRECONDITION as in Submit, where the id is that of a run which does not follow, and
  // where the run has had a later model; INVALID_ARGUMENT where the id is no name, or the model not
  // the plan's network.
  Status Follow(const std::string& run_id, const std::string& plan,
                std::optional<ModelGiven> given);
  // The higher coordinator does not wait for the round any more.
  Status EndRound(const std::string& run_id, int round);
  // The run as it is, once it is no longer as `seen`, or `time` has passed.
  StatusOr<RunState> AwaitChange(const std::string& run_id, const RunState& seen,
                                 std::chrono::milliseconds time);
  Status Cancel(const std::string& run_id);
  // FAILED_PRECONDITION where the run's state has no use for it.
  Status Pause(const std::string& run_id);
  Status Resume(const std::string& run_id);
  // Ends the open tasks of a site that was revoked, so that no round waits for it.
  Status EndTasksOf(const std::string& site);
  std::vector<RunState> Runs() const;
  StatusOr<RunState> FindRun(const std::string& run_id) const;
  // What is known of a run's model of a round. NOT_FOUND where there is none.
  StatusOr<ModelRecord> FindModel(const std::string& run_id, int round) const;

  // The site says how far it is with a task, and hears whether to go on. An open one is then the
  // one that WaitForTask gives it.
  TaskStanding NoteProgress(const std::string& site, const std::string& task_id,
                            const TaskProgress& progress);
  // How far the run's open tasks are, by task; those whose site has not spoken are left out.
  std::map<std::string, TaskOutlook> Outlooks(const std::string& run_id) const;

  // Calls `ready` once: with the site's task when there is one, or with none when `until` has
  // passed (seen at the next Work). It may be called before WaitForTask returns, and from any
  // thread. The task is the same one again until it has ended. Of several runs they come in turn:
  // the run whose last task went to this site longest ago, the oldest of those that are equal.
  using WaitId = std::uint64_t;
  using Ready = std::function<void(StatusOr<std::optional<Assignment>>)>;
  WaitId WaitForTask(const std::string& site, TimePoint until, Ready ready);
  // True if `ready` had not been called and now never will be.
  bool StopWaiting(WaitId id);

  // Takes a report of the site's own task. A result's blob must have been uploaded for it; it is
  // admitted here (DATA_LOSS where it is not there: it is to be sent again), and an inadmissible
  // one is removed and ends the task as failed with INVALID_ARGUMENT. PERMISSION_DENIED for another
  // site's task. A result that comes late counts for the same round if that is being tried again,
  // and for the next one if the plan says so; otherwise it changes nothing. The note says what
  // became of it where that is not what was asked for.
  StatusOr<std::string> Report(const std::string& site, const TaskReport& report);

  // OK if the site may upload a blob of that size for the task: it is open, its own, and the size
  // is at most that of a model of its run (for an initial model: kMaxModelBytes).
  Status CheckUpload(const std::string& site, const std::string& task_id,
                     std::uint64_t bytes) const;
  // Looks at a task's upload while it comes, from its first byte, so that its report waits for
  // nothing. Null where it is no update, and where the task's were looked at too often.
  std::unique_ptr<ArrivingUpdate> WatchUpload(const std::string& task_id, const std::string& digest,
                                              std::uint64_t bytes) const;
  // Whether every site may have the blob: a global model, or the control variate of a run's newest.
  bool IsForSites(const std::string& digest) const;

  // Does what time and finished rounds ask for: ends tasks that are stuck, closes rounds past their
  // deadline, averages, ends waits, removes what nobody needs any more. Called often by one thread,
  // which sleeps in WaitForWork in between.
  void Work();
  // Until there is work, or for the time given.
  void WaitForWork(std::chrono::milliseconds time);

  const BlobStore& blobs() const { return blobs_; }

 private:
  // A task as it is reported, and what it counts for where it ended before.
  struct Found {
    RunState run;
    TaskState task;
    bool delivered = false;  // the site's result for the round has counted
    std::optional<TaskState> successor;
  };

  struct Waiter {
    std::string site;
    TimePoint until;
    Ready ready;
  };

  Coordinator(Store& store, BlobStore blobs, Registry& registry, AuditTrail& trail,
              const Clock& clock)
      : store_(store),
        blobs_(std::move(blobs)),
        registry_(registry),
        trail_(trail),
        clock_(clock) {}

  StatusOr<std::optional<Found>> FindReported(const std::string& site, const std::string& task_id)
      ABSL_LOCKS_EXCLUDED(mu_);
  StatusOr<std::string> ReportOnce(const std::string& site, const TaskReport& report);
  // Writes a new run down; its first model is `uploader`'s upload, or a blob.
  Status Begin(RunState run, const std::string& uploader, const std::string& by)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Ends a task whose result is inadmissible.
  StatusOr<std::string> Refuse(const Found& found, const std::string& digest, const Status& why);
  Status ApplyEvent(const std::string& run_id, const RunEvent& event) ABSL_LOCKS_EXCLUDED(mu_);
  // Makes `owner`'s upload a blob, if it is not one yet, and the result that of the task. ABORTED
  // where the task has ended meanwhile.
  Status ApplyResult(const std::string& run_id, const TaskSucceeded& success,
                     const std::string& owner) ABSL_LOCKS_EXCLUDED(mu_);
  // Read under the lock that an event is applied under: a site that is revoked meanwhile then ends
  // its task after it was opened, not before.
  StatusOr<RunContext> Context() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  StatusOr<std::optional<Assignment>> FindTask(const std::string& site)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The site is at this task of the run, whose turn it was.
  void TakeTurn(const std::string& site, const std::string& run_id, const std::string& task_id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Status Advance(RunState& run, const RunEvent& event, const RunContext& context)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Keeps the updates that the engine took back for people to look at.
  void SetAsideRefused(const RunState& before, const RunState& after) const;
  // The run of that id; nullptr where there is none.
  RunState* RunOf(const std::string& id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  const RunState* RunOf(const std::string& id) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The run and task of an id; nullptr where there is none.
  std::pair<const RunState*, const TaskState*> Locate(const std::string& task_id) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Makes of a result that was sent the one that counts: admitted, and where it was late of another
  // blob.
  Status Prepare(const Found& found, TaskResult& result) const ABSL_LOCKS_EXCLUDED(mu_);
  // Checks a result.
  Status Admit(const RunState& run, const TaskState& task, TaskResult& result) const;
  // Makes an admitted late update a blob of the successor's round.
  Status Transfer(const Found& found, TaskResult& result) const;
  // What runs need: global models, updates yet to be averaged, and the moments that the server's
  // optimisers go on with.
  std::set<std::string> NeededBlobs() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Removes what a round has used up, unless a run needs it: the mean of one update may be that
  // update, byte for byte, and two sites may deliver the same one.
  void Discard(const std::vector<std::string>& digests) const ABSL_LOCKS_EXCLUDED(mu_);
  // Removes blobs that no run needs and uploads that nobody waits for; `alone` where nothing else
  // writes into the store yet.
  void Sweep(bool alone) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool IsAwaited(const BlobStore::Entry& upload) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void AnswerWaiters() ABSL_LOCKS_EXCLUDED(mu_);
  void PassTime() ABSL_LOCKS_EXCLUDED(mu_);
  Status EndStuckTasks(RunState& run, const RunContext& context) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  StatusOr<AveragedModel> Average(const RunState& run,
                                  const std::vector<Contribution>& contributions) const;
  // Asks the sites again whose updates of the run's round are not in the store as they came: a
  // power cut or the disk took them. Whether there are any.
  StatusOr<bool> AskForLost(const RunState& run) ABSL_LOCKS_EXCLUDED(mu_);
  // The same of every run: what is not seen for an error is seen when its round is averaged.
  void LookForLost() ABSL_LOCKS_EXCLUDED(mu_);
  void AverageRounds() ABSL_LOCKS_EXCLUDED(mu_);
  // Makes the model of a run that is AGGREGATING, or asks for what is lost of it. An error: the
  // round waits.
  Status AverageNow(const RunState& run) ABSL_LOCKS_EXCLUDED(mu_);
  // The one of the round's updates that counts, where one does.
  Status NoteChoice(const RunState& run, std::size_t place) const;

  Store& store_;
  const BlobStore blobs_;
  Registry& registry_;
  AuditTrail& trail_;
  const Clock& clock_;

  const std::shared_ptr<InspectedUpdates> inspected_ = std::make_shared<InspectedUpdates>();

  bool looked_for_lost_ = false;  // the worker's alone: it does once, at the beginning

  mutable Mutex mu_;
  CondVar work_cv_;
  CondVar changed_cv_;  // a run's state has
  bool work_due_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<RunState> runs_ ABSL_GUARDED_BY(mu_);  // oldest first
  // By site: the task it was given last, and when each run's turn was.
  struct Turns {
    std::string task_id;
    std::map<std::string, std::uint64_t> by_run;
  };
  std::map<std::string, Turns> turns_ ABSL_GUARDED_BY(mu_);
  std::uint64_t next_turn_ ABSL_GUARDED_BY(mu_) = 1;
  ProgressBoard progress_ ABSL_GUARDED_BY(mu_);
  TimePoint swept_ ABSL_GUARDED_BY(mu_);
  TimePoint average_after_ ABSL_GUARDED_BY(mu_);  // a round waits
  WaitId next_wait_ ABSL_GUARDED_BY(mu_) = 1;
  std::map<WaitId, Waiter> waiters_ ABSL_GUARDED_BY(mu_);
  bool tasks_opened_ ABSL_GUARDED_BY(mu_) = false;  // since the waiters were looked through
};

}  // namespace consilium
