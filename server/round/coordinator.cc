#include "server/round/coordinator.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "common/crypto/digest.h"
#include "common/model/model_file.h"
#include "server/admission/admission.h"
#include "server/aggregate/rebase.h"
#include "server/aggregate/round_average.h"
#include "server/round/late_update.h"
#include "server/store/run_config.h"

namespace consilium {
namespace {

constexpr std::size_t kRunIdBytes = 4;
constexpr std::uint64_t kMaxTrainExamples = 1'000'000'000;
// How much longer than the global model's file an update may be: its metadata name other things.
constexpr std::uint64_t kHeaderSlackBytes = 64 << 10;

constexpr char kUploader[] = "admin-";
// How long a blob that is being made may lie unwritten or unnamed, and an admin's upload
// unsubmitted.
constexpr std::chrono::minutes kTimeToFinish{30};
constexpr std::chrono::hours kTimeToSubmit{24};
constexpr std::chrono::seconds kSweepInterval{5};
constexpr std::chrono::seconds kPauseWhereFull{2};

// At most kMaxReason bytes of a text that may come from a hospital or its file, cut between
// characters, with nothing in it that is not printable ASCII: it is shown to people and sent in
// messages.
std::string Clip(std::string_view text) {
  constexpr std::size_t kMaxReason = 300;
  std::string clipped(text.substr(0, kMaxReason));
  for (char& c : clipped) c = c >= ' ' && c <= '~' ? c : '?';
  return clipped;
}

std::string TaskIdOf(const TaskReport& report) {
  return std::visit([](const auto& event) { return event.task_id; }, report);
}

// What a finished round averages.
std::vector<Contribution> ContributionsOf(const RunState& run) {
  std::vector<Contribution> contributions;
  for (const auto& [site, task] : DeliveredTasks(run)) {
    contributions.push_back({task->result.blob_digest, task->result.train_examples});
  }
  return contributions;
}

// Whether a run of that configuration can begin with these sites.
Status CheckSites(const RunConfig& config, const std::vector<std::string>& active_sites) {
  for (const std::string& site : config.sites) {
    if (!std::binary_search(active_sites.begin(), active_sites.end(), site)) {
      return FailedPrecondition("the plan names site '{}', which has not joined or was revoked",
                                site);
    }
  }
  const std::size_t sites = Cohort(config, active_sites).size();
  const int quorum = QuorumOf(config, std::max<std::size_t>(sites, 1));
  if (sites >= static_cast<std::size_t>(quorum)) return OkStatus();
  return FailedPrecondition("the quorum is {} sites, but only {} of the plan's sites are active",
                            quorum, sites);
}

// Whether the site would make the run's initial model if it asked.
bool WantsInitialModel(const RunState& run, const std::string& site, const RunContext& context) {
  return OpenTaskOf(Apply(run, SiteAsked{site}, context), site) != nullptr;
}

// 0 for a run that never had one.
std::uint64_t TurnOf(const std::map<std::string, std::uint64_t>& turns, const std::string& run) {
  const auto found = turns.find(run);
  return found == turns.end() ? 0 : found->second;
}

// The run of that id; null where there is none.
template <typename Runs>
auto* RunOf(Runs& runs, const std::string& id) {
  const auto found =
      std::find_if(runs.begin(), runs.end(), [&](const RunState& run) { return run.id == id; });
  return found == runs.end() ? nullptr : &*found;
}

}  // namespace

std::string UploaderOf(const std::string& admin) { return kUploader + admin; }

StatusOr<std::unique_ptr<Coordinator>> Coordinator::Create(Store& store, BlobStore blobs,
                                                           Registry& registry, const Clock& clock) {
  CSL_ASSIGN_OR_RETURN(std::vector<RunState> runs, store.LoadRuns());
  std::unique_ptr<Coordinator> coordinator(
      new Coordinator(store, std::move(blobs), registry, clock));
  MutexLock lock(coordinator->mu_);
  coordinator->runs_ = std::move(runs);
  coordinator->Sweep(/*alone=*/true);
  coordinator->work_due_ = true;
  return coordinator;
}

StatusOr<RunContext> Coordinator::Context() const {
  CSL_ASSIGN_OR_RETURN(std::vector<std::string> sites, registry_.ActiveSites());
  return RunContext{.now = clock_.Now(), .active_sites = std::move(sites)};
}

StatusOr<std::string> Coordinator::Submit(const std::string& plan,
                                          const std::string& initial_model_digest,
                                          const std::string& uploader) {
  CSL_ASSIGN_OR_RETURN(const RunConfig config, ParseRunConfig(plan));
  std::optional<ModelVersion> initial;
  if (!initial_model_digest.empty()) {
    CSL_ASSIGN_OR_RETURN(const auto file, blobs_.MapUpload(initial_model_digest, uploader));
    const Status admitted = CheckInitialModel(file->bytes(), config.model);
    if (!admitted.ok()) return Annotate(admitted, "initial model");
    initial = {.round = 0, .digest = initial_model_digest, .bytes = file->bytes().size()};
  }
  const std::string id = "run-" + RandomHex(kRunIdBytes);
  {
    MutexLock lock(mu_);
    CSL_ASSIGN_OR_RETURN(const RunContext context, Context());
    CSL_RETURN_IF_ERROR(CheckSites(config, context.active_sites));
    RunState run = StartRun(id, plan, config, initial, context);
    if (initial) CSL_RETURN_IF_ERROR(blobs_.Keep(initial->digest, uploader));
    CSL_RETURN_IF_ERROR(store_.SaveRun(run));
    runs_.push_back(std::move(run));
  }
  spdlog::info("{}: submitted, {} rounds", id, config.rounds);
  AnswerWaiters();
  return id;
}

Status Coordinator::Cancel(const std::string& run_id) {
  return ApplyEvent(run_id, CancelRequested{});
}

Status Coordinator::Pause(const std::string& run_id) {
  CSL_ASSIGN_OR_RETURN(const RunState run, FindRun(run_id));
  if (!CanPause(run)) {
    return FailedPrecondition("{} is {}: there is nothing to pause", run_id,
                              RunStatusName(run.status));
  }
  return ApplyEvent(run_id, PauseRequested{});
}

Status Coordinator::Resume(const std::string& run_id) {
  CSL_ASSIGN_OR_RETURN(const RunState run, FindRun(run_id));
  if (!CanResume(run)) {
    return FailedPrecondition("{} is {}, not paused", run_id, RunStatusName(run.status));
  }
  return ApplyEvent(run_id, ResumeRequested{});
}

Status Coordinator::EndTasksOf(const std::string& site) {
  for (const RunState& run : Runs()) CSL_RETURN_IF_ERROR(ApplyEvent(run.id, SiteRevoked{site}));
  return OkStatus();
}

std::vector<RunState> Coordinator::Runs() const {
  MutexLock lock(mu_);
  return runs_;
}

StatusOr<RunState> Coordinator::FindRun(const std::string& run_id) const {
  MutexLock lock(mu_);
  if (const RunState* run = RunOf(runs_, run_id)) return *run;
  return NotFound("no run '{}'", run_id);
}

Status Coordinator::ApplyEvent(const std::string& run_id, const RunEvent& event) {
  {
    MutexLock lock(mu_);
    CSL_ASSIGN_OR_RETURN(const RunContext context, Context());
    RunState* run = RunOf(runs_, run_id);
    if (run == nullptr) return NotFound("no run '{}'", run_id);
    CSL_RETURN_IF_ERROR(Advance(*run, event, context));
  }
  AnswerWaiters();
  return OkStatus();
}

Status Coordinator::ApplyResult(const std::string& run_id, const TaskSucceeded& success,
                                const std::string& owner) {
  {
    MutexLock lock(mu_);
    CSL_ASSIGN_OR_RETURN(const RunContext context, Context());
    RunState* run = RunOf(runs_, run_id);
    const TaskState* task = Locate(success.task_id).second;
    if (run == nullptr || task == nullptr || task->status != TaskStatus::kOpen) {
      return absl::AbortedError("the task ended meanwhile");
    }
    // First the blob, then the state that names it: a crash in between leaves a blob to be swept.
    const std::string& digest = success.result.blob_digest;
    if (!digest.empty()) {
      const Status kept = blobs_.Keep(digest, owner);
      if (absl::IsNotFound(kept))
        return DataLoss("the model {} is not here; send it again", digest);
      CSL_RETURN_IF_ERROR(kept);
    }
    CSL_RETURN_IF_ERROR(Advance(*run, success, context));
  }
  AnswerWaiters();
  return OkStatus();
}

Status Coordinator::Advance(RunState& run, const RunEvent& event, const RunContext& context) {
  RunState next = Apply(run, event, context);
  if (next == run) return OkStatus();
  CSL_RETURN_IF_ERROR(store_.SaveRun(next));
  if (next.status != run.status || next.round != run.round) {
    spdlog::info("{}: round {} {}{}{}", next.id, next.round, RunStatusName(next.status),
                 next.reason.empty() ? "" : ": ", next.reason);
  }
  run = std::move(next);
  work_due_ = true;
  work_cv_.notify_one();
  return OkStatus();
}

StatusOr<std::optional<Assignment>> Coordinator::FindTask(const std::string& site) {
  RunContext context;  // read where a run wants an initial model: this is asked at every Work
  Turns& turns = turns_[site];
  RunState* chosen = nullptr;
  for (RunState& run : runs_) {
    const TaskState* open = OpenTaskOf(run, site);
    if (open != nullptr && open->id == turns.task_id) {  // a site ends what it has begun
      chosen = &run;
      break;
    }
    if (open == nullptr) {
      if (run.status != RunStatus::kInitialising) continue;
      if (context.now == TimePoint()) {
        CSL_ASSIGN_OR_RETURN(context, Context());
      }
      if (!WantsInitialModel(run, site, context)) continue;
    }
    if (chosen == nullptr || TurnOf(turns.by_run, run.id) < TurnOf(turns.by_run, chosen->id)) {
      chosen = &run;
    }
  }
  if (chosen == nullptr) return std::nullopt;
  if (OpenTaskOf(*chosen, site) == nullptr) {
    CSL_RETURN_IF_ERROR(Advance(*chosen, SiteAsked{site}, context));
  }
  const TaskState* open = OpenTaskOf(*chosen, site);
  TakeTurn(site, chosen->id, open->id);
  Assignment assignment{.task = *open,
                        .run_id = chosen->id,
                        .plan = chosen->plan,
                        .model = {},
                        .deadline = chosen->deadline,
                        .round_deadline = chosen->config.round_deadline};
  if (!chosen->models.empty()) assignment.model = chosen->models.back();
  return assignment;
}

void Coordinator::TakeTurn(const std::string& site, const std::string& run_id,
                           const std::string& task_id) {
  Turns& turns = turns_[site];
  if (turns.task_id == task_id) return;
  turns.task_id = task_id;
  turns.by_run[run_id] = next_turn_++;
}

TaskStanding Coordinator::NoteProgress(const std::string& site, const std::string& task_id,
                                       const TaskProgress& progress) {
  MutexLock lock(mu_);
  const auto [run, task] = Locate(task_id);
  if (task == nullptr || task->site != site) return TaskStanding::kEnded;
  if (task->status == TaskStatus::kOpen) {
    TakeTurn(site, run->id, task_id);
    progress_.Note(run->id, site, task_id, progress, clock_.Now());
    return TaskStanding::kOpen;
  }
  if (SuccessorOf(*run, *task) != nullptr || IsBetweenRounds(*run, *task)) {
    return TaskStanding::kLate;
  }
  // While it is held up here, it does not advance with the task that waits for it either.
  if (const TaskState* waiting = OpenTaskOf(*run, site)) {
    progress_.Note(run->id, site, waiting->id, progress, clock_.Now());
  }
  return TaskStanding::kEnded;
}

std::map<std::string, TaskOutlook> Coordinator::Outlooks(const std::string& run_id) const {
  MutexLock lock(mu_);
  std::map<std::string, TaskOutlook> outlooks;
  const RunState* run = RunOf(runs_, run_id);
  if (run == nullptr) return outlooks;
  for (const TaskState& task : run->tasks) {
    if (task.status != TaskStatus::kOpen) continue;
    if (const auto outlook = progress_.Find(task.id)) outlooks.emplace(task.id, *outlook);
  }
  return outlooks;
}

StatusOr<std::optional<Assignment>> Coordinator::NextTask(const std::string& site) {
  MutexLock lock(mu_);
  return FindTask(site);
}

Coordinator::WaitId Coordinator::WaitForTask(const std::string& site, TimePoint until,
                                             Ready ready) {
  StatusOr<std::optional<Assignment>> found = std::nullopt;
  WaitId id = 0;
  {
    MutexLock lock(mu_);
    id = next_wait_++;
    found = FindTask(site);
    if (found.ok() && !found->has_value()) {
      waiters_[id] = {site, until, std::move(ready)};
      return id;
    }
  }
  ready(std::move(found));
  return id;
}

bool Coordinator::StopWaiting(WaitId id) {
  MutexLock lock(mu_);
  return waiters_.erase(id) > 0;
}

void Coordinator::AnswerWaiters() {
  std::vector<std::pair<Ready, StatusOr<std::optional<Assignment>>>> answers;
  {
    MutexLock lock(mu_);
    const TimePoint now = clock_.Now();
    for (auto it = waiters_.begin(); it != waiters_.end();) {
      auto found = FindTask(it->second.site);
      if (found.ok() && !found->has_value() && now < it->second.until) {
        ++it;
        continue;
      }
      answers.emplace_back(std::move(it->second.ready), std::move(found));
      it = waiters_.erase(it);
    }
  }
  for (auto& [ready, found] : answers) ready(std::move(found));
}

std::pair<const RunState*, const TaskState*> Coordinator::Locate(const std::string& task_id) const {
  for (const RunState& run : runs_) {
    for (const TaskState& task : run.tasks) {
      if (task.id == task_id) return {&run, &task};
    }
  }
  return {nullptr, nullptr};
}

StatusOr<std::optional<Coordinator::Found>> Coordinator::FindReported(const std::string& site,
                                                                      const std::string& task_id) {
  MutexLock lock(mu_);
  const auto [run, task] = Locate(task_id);
  if (task == nullptr) return std::nullopt;
  if (task->site != site) return PermissionDenied("task {} is not of site '{}'", task_id, site);
  if (IsBetweenRounds(*run, *task)) return Unavailable("the next round is about to open");
  Found found{.run = *run, .task = *task, .delivered = IsDelivered(*run, *task)};
  if (const TaskState* next = SuccessorOf(*run, *task)) found.successor = *next;
  return found;
}

StatusOr<std::string> Coordinator::Report(const std::string& site, const TaskReport& report) {
  while (true) {
    auto note = ReportOnce(site, report);
    if (!absl::IsAborted(note.status())) return note;  // the round closed while it was admitted
  }
}

StatusOr<std::string> Coordinator::ReportOnce(const std::string& site, const TaskReport& report) {
  const std::string task_id = TaskIdOf(report);
  const auto* success = std::get_if<TaskSucceeded>(&report);
  CSL_ASSIGN_OR_RETURN(const auto found, FindReported(site, task_id));
  if (found && found->delivered) return "";  // a repeated report: the first one counted
  const bool open = found && found->task.status == TaskStatus::kOpen;
  if (!open && !(found && found->successor && success != nullptr)) {
    if (found && success != nullptr) blobs_.Drop(success->result.blob_digest, task_id);
    if (!found) return "the round of this task closed before the report came";
    return fmt::format("the task had ended before the report came: {}", found->task.reason);
  }
  if (success == nullptr) {
    TaskEnded ended = std::get<TaskEnded>(report);
    ended.reason = Clip(ended.reason);
    CSL_RETURN_IF_ERROR(ApplyEvent(found->run.id, ended));
    return "";
  }

  const std::string& digest = success->result.blob_digest;
  if (!digest.empty() && !blobs_.HeldOf(digest, task_id).whole) {
    return DataLoss("the model {} is not here; send it again", digest);
  }
  TaskResult result = success->result;
  Status admission = Admit(found->run, found->task, result);
  if (admission.ok() && !open) admission = Transfer(*found, result);
  if (absl::IsInvalidArgument(admission)) return Refuse(*found, digest, admission);
  if (!admission.ok()) return Unavailable("{}", std::string(admission.message()));
  const std::string& counted = open ? found->task.id : found->successor->id;
  CSL_RETURN_IF_ERROR(ApplyResult(found->run.id, {counted, result}, task_id));
  if (open) return "";
  blobs_.Drop(digest, task_id);
  return fmt::format("the task had ended ({}); its result counts as that of {}", found->task.reason,
                     counted);
}

StatusOr<std::string> Coordinator::Refuse(const Found& found, const std::string& digest,
                                          const Status& why) {
  const Status refused(why.code(), Clip(std::string(why.message())));
  const std::string reason = "its result was refused: " + std::string(refused.message());
  spdlog::warn("{}: {}", found.task.id, reason);
  blobs_.Drop(digest, found.task.id);
  if (found.task.status != TaskStatus::kOpen) return reason;
  CSL_RETURN_IF_ERROR(
      ApplyEvent(found.run.id, TaskEnded{found.task.id, TaskStatus::kFailed, reason}));
  return refused;
}

Status Coordinator::Admit(const RunState& run, const TaskState& task, TaskResult& result) const {
  const auto classes = static_cast<int>(run.config.model.classes.size());
  if (result.evaluation.classes() != 0 && result.evaluation.classes() != classes) {
    return InvalidArgument("the evaluation has {} classes, want {}", result.evaluation.classes(),
                           classes);
  }
  if (task.kind == TaskKind::kEvaluate) {
    if (result.blob_digest.empty()) return OkStatus();
    return InvalidArgument("an evaluation has no model to deliver");
  }
  CSL_ASSIGN_OR_RETURN(const auto file, blobs_.MapUpload(result.blob_digest, task.id));
  result.blob_bytes = file->bytes().size();
  if (task.kind == TaskKind::kInitialise) return CheckInitialModel(file->bytes(), run.config.model);
  if (result.train_examples == 0 || result.train_examples > kMaxTrainExamples) {
    return InvalidArgument("{} training examples, want 1 to {}", result.train_examples,
                           kMaxTrainExamples);
  }
  const ModelVersion* base = ModelOfRound(run, task.round - 1);
  if (base == nullptr) return Internal("{} has no model of round {}", run.id, task.round - 1);
  CSL_ASSIGN_OR_RETURN(const auto base_file, blobs_.Map(base->digest));
  CSL_ASSIGN_OR_RETURN(const ModelHeader header, ParseModelHeader(base_file->bytes()));
  return CheckUpdate(file->bytes(), header,
                     {.run = run.id, .round = task.round, .base_digest = base->digest});
}

Status Coordinator::Transfer(const Found& found, TaskResult& result) const {
  if (found.task.round == found.successor->round) return OkStatus();
  const ModelVersion* old_base = ModelOfRound(found.run, found.task.round - 1);
  const ModelVersion& new_base = found.run.models.back();
  CSL_ASSIGN_OR_RETURN(const auto file, blobs_.MapUpload(result.blob_digest, found.task.id));
  CSL_ASSIGN_OR_RETURN(const AveragedModel rebased,
                       Rebase(blobs_, file->bytes(), old_base->digest, new_base.digest,
                              {.run = found.run.id,
                               .round = found.successor->round,
                               .parent_digest = new_base.digest}));
  result.blob_digest = rebased.digest;
  result.blob_bytes = rebased.bytes;
  result.evaluation = {};  // it scored the older model
  return OkStatus();
}

Status Coordinator::CheckUpload(const std::string& site, const std::string& task_id,
                                std::uint64_t bytes) const {
  MutexLock lock(mu_);
  const auto [run, task] = Locate(task_id);
  if (task != nullptr && task->site == site && IsBetweenRounds(*run, *task)) {
    return Unavailable("the next round is about to open");
  }
  if (task == nullptr || task->site != site || task->kind == TaskKind::kEvaluate ||
      (task->status != TaskStatus::kOpen && SuccessorOf(*run, *task) == nullptr)) {
    return PermissionDenied("site '{}' has no open task '{}' to upload for", site, task_id);
  }
  const std::uint64_t limit =
      run->models.empty() ? kMaxModelBytes : run->models.back().bytes + kHeaderSlackBytes;
  if (bytes == 0 || bytes > limit) {
    return InvalidArgument("a blob of {} bytes, want 1 to {}", bytes, limit);
  }
  return OkStatus();
}

bool Coordinator::IsGlobalModel(const std::string& digest) const {
  MutexLock lock(mu_);
  return std::any_of(runs_.begin(), runs_.end(),
                     [&](const RunState& run) { return HasModel(run, digest); });
}

std::set<std::string> Coordinator::NeededBlobs() const {
  std::set<std::string> needed;
  for (const RunState& run : runs_) {
    for (const ModelVersion& model : run.models) needed.insert(model.digest);
    if (IsFinal(run.status)) continue;
    for (const auto& [site, task] : DeliveredTasks(run)) needed.insert(task->result.blob_digest);
  }
  return needed;
}

void Coordinator::Discard(const std::vector<Contribution>& contributions) const {
  MutexLock lock(mu_);
  const std::set<std::string> needed = NeededBlobs();
  for (const Contribution& contribution : contributions) {
    if (!needed.contains(contribution.digest)) blobs_.Remove(contribution.digest);
  }
}

bool Coordinator::IsAwaited(const BlobStore::Entry& upload) const {
  if (upload.owner.empty()) return upload.age < kTimeToFinish;
  if (upload.owner.starts_with(kUploader)) return upload.age < kTimeToSubmit;
  const auto [run, task] = Locate(upload.owner);
  return task != nullptr && (task->status == TaskStatus::kOpen ||
                             SuccessorOf(*run, *task) != nullptr || IsBetweenRounds(*run, *task));
}

void Coordinator::Sweep(bool alone) const {
  const auto incoming = blobs_.ListIncoming();
  const auto blobs = blobs_.List();
  for (const Status& status : {incoming.status(), blobs.status()}) {
    if (!status.ok()) spdlog::error("cannot sweep: {}", std::string(status.message()));
  }
  if (!incoming.ok() || !blobs.ok()) return;
  for (const BlobStore::Entry& upload : *incoming) {
    if (!IsAwaited(upload) || (alone && upload.owner.empty())) blobs_.RemoveIncoming(upload.file);
  }
  const std::set<std::string> needed = NeededBlobs();
  std::set<std::string> results;
  for (const RunState& run : runs_) {
    for (const TaskState& task : run.tasks) {
      if (task.status == TaskStatus::kDone) results.insert(task.result.blob_digest);
    }
  }
  for (const BlobStore::Entry& blob : *blobs) {
    if (needed.contains(blob.file)) continue;
    // A result has been averaged. What no task ever named may be an upload whose report the crash
    // came before.
    if (results.contains(blob.file) || blob.age > kTimeToFinish) blobs_.Remove(blob.file);
  }
}

void Coordinator::Work() {
  PassTime();
  AverageRounds();
  AnswerWaiters();
  MutexLock lock(mu_);
  if (clock_.Now() - swept_ < kSweepInterval) return;
  swept_ = clock_.Now();
  Sweep(/*alone=*/false);
  progress_.Forget(
      [&](const std::string& id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
        const TaskState* task = Locate(id).second;
        return task != nullptr && task->status == TaskStatus::kOpen;
      },
      [&](const std::string& id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
        const RunState* run = RunOf(runs_, id);
        return run != nullptr && !IsFinal(run->status);
      });
}

void Coordinator::PassTime() {
  MutexLock lock(mu_);
  const auto context = Context();
  if (!context.ok()) return;  // the database is away; the next call sees the time again
  for (RunState& run : runs_) {
    if (IsFinal(run.status)) continue;
    Status status = EndStuckTasks(run, *context);
    if (status.ok() && context->now >= run.deadline) {
      status = Advance(run, TimePassed{}, *context);
    }
    if (!status.ok()) spdlog::error("{}: {}", run.id, std::string(status.message()));
  }
}

Status Coordinator::EndStuckTasks(RunState& run, const RunContext& context) {
  std::vector<TaskEnded> stuck;
  for (const TaskState& task : run.tasks) {
    if (task.status != TaskStatus::kOpen) continue;
    const std::string why = progress_.WhyStuck(task.id, run.config.round_deadline);
    if (!why.empty()) stuck.push_back({task.id, TaskStatus::kMissed, why});
  }
  for (const TaskEnded& ended : stuck) {
    spdlog::warn("{}: {}", ended.task_id, ended.reason);
    CSL_RETURN_IF_ERROR(Advance(run, ended, context));
  }
  return OkStatus();
}

void Coordinator::AverageRounds() {
  std::vector<RunState> finished;
  {
    MutexLock lock(mu_);
    if (clock_.Now() < average_after_) return;
    std::copy_if(runs_.begin(), runs_.end(), std::back_inserter(finished),
                 [](const RunState& run) { return run.status == RunStatus::kAggregating; });
  }
  for (const RunState& run : finished) {
    const auto contributions = ContributionsOf(run);
    const auto model =
        AverageRound(blobs_, run.id, run.round, run.models.back().digest, contributions);
    Status status = model.status();
    // A full disk: the updates are safe, and so is the round until there is room.
    if (!absl::IsResourceExhausted(status)) {
      status = ApplyEvent(
          run.id, model.ok() ? RunEvent(RoundAveraged{{run.round, model->digest, model->bytes}})
                             : RunEvent(RunBroken{std::string(status.message())}));
    }
    if (!status.ok()) {
      spdlog::error("{}: round {} waits: {}", run.id, run.round, std::string(status.message()));
      MutexLock lock(mu_);
      average_after_ = clock_.Now() + kPauseWhereFull;
      return;
    }
    Discard(contributions);
  }
}

void Coordinator::WaitForWork(std::chrono::milliseconds time) {
  MutexLock lock(mu_);
  if (!work_due_) work_cv_.wait_for(mu_, time);
  work_due_ = false;
}

}  // namespace consilium
