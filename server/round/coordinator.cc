#include "server/round/coordinator.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "common/crypto/digest.h"
#include "common/model/model_file.h"
#include "server/admission/admission.h"
#include "server/aggregate/round_average.h"
#include "server/store/run_config.h"

namespace consilium {
namespace {

constexpr std::size_t kRunIdBytes = 4;
constexpr std::uint64_t kMaxTrainExamples = 1'000'000'000;
// How much longer than the global model's file an update may be: its metadata name other things.
constexpr std::uint64_t kHeaderSlackBytes = 64 << 10;

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

// What a finished round averages, by site.
std::vector<Contribution> ContributionsOf(const RunState& run) {
  std::vector<Contribution> contributions;
  for (const TaskState& task : run.tasks) {
    if (task.round != run.round || task.status != TaskStatus::kDone) continue;
    contributions.push_back({task.result.blob_digest, task.result.train_examples});
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

bool HasModel(const RunState& run, const std::string& digest) {
  return std::any_of(run.models.begin(), run.models.end(),
                     [&](const ModelVersion& model) { return model.digest == digest; });
}

bool IsContribution(const RunState& run, const std::string& digest) {
  const std::vector<Contribution> contributions = ContributionsOf(run);
  return std::any_of(contributions.begin(), contributions.end(),
                     [&](const Contribution& c) { return c.digest == digest; });
}

}  // namespace

StatusOr<std::unique_ptr<Coordinator>> Coordinator::Create(Store& store, BlobStore blobs,
                                                           Registry& registry, const Clock& clock) {
  CSL_ASSIGN_OR_RETURN(std::vector<RunState> runs, store.LoadRuns());
  std::unique_ptr<Coordinator> coordinator(
      new Coordinator(store, std::move(blobs), registry, clock));
  MutexLock lock(coordinator->mu_);
  coordinator->runs_ = std::move(runs);
  coordinator->work_due_ = true;
  return coordinator;
}

StatusOr<RunContext> Coordinator::Context() const {
  CSL_ASSIGN_OR_RETURN(std::vector<std::string> sites, registry_.ActiveSites());
  return RunContext{.now = clock_.Now(), .active_sites = std::move(sites)};
}

StatusOr<std::string> Coordinator::Submit(const std::string& plan,
                                          const std::string& initial_model_digest) {
  CSL_ASSIGN_OR_RETURN(const RunConfig config, ParseRunConfig(plan));
  std::optional<ModelVersion> initial;
  if (!initial_model_digest.empty()) {
    CSL_ASSIGN_OR_RETURN(const auto file, blobs_.Map(initial_model_digest));
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
  for (const RunState& run : runs_) {
    if (run.id == run_id) return run;
  }
  return NotFound("no run '{}'", run_id);
}

Status Coordinator::ApplyEvent(const std::string& run_id, const RunEvent& event) {
  {
    MutexLock lock(mu_);
    CSL_ASSIGN_OR_RETURN(const RunContext context, Context());
    const auto run = std::find_if(runs_.begin(), runs_.end(),
                                  [&](const RunState& other) { return other.id == run_id; });
    if (run == runs_.end()) return NotFound("no run '{}'", run_id);
    CSL_RETURN_IF_ERROR(Advance(*run, event, context));
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
  for (RunState& run : runs_) {
    if (run.status == RunStatus::kInitialising) {
      CSL_ASSIGN_OR_RETURN(const RunContext context, Context());
      CSL_RETURN_IF_ERROR(Advance(run, SiteAsked{site}, context));
    }
    for (const TaskState& task : run.tasks) {
      if (task.site != site || task.status != TaskStatus::kOpen) continue;
      Assignment assignment{
          .task = task, .run_id = run.id, .plan = run.plan, .model = {}, .deadline = run.deadline};
      if (!run.models.empty()) assignment.model = run.models.back();
      return assignment;
    }
  }
  return std::nullopt;
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

StatusOr<std::string> Coordinator::Report(const std::string& site, const TaskReport& report) {
  const std::string task_id = TaskIdOf(report);
  RunState run;
  TaskState task;
  {
    MutexLock lock(mu_);
    const auto [found_run, found_task] = Locate(task_id);
    if (found_task == nullptr) return "the round of this task closed before the report came";
    run = *found_run;
    task = *found_task;
  }
  if (task.site != site) return PermissionDenied("task {} is not of site '{}'", task_id, site);
  if (task.status == TaskStatus::kDone) return "";  // a repeated report: the first one counted
  if (task.status != TaskStatus::kOpen) {
    return fmt::format("the task had ended before the report came: {}", task.reason);
  }

  RunEvent event = std::visit([](const auto& e) -> RunEvent { return e; }, report);
  if (auto* ended = std::get_if<TaskEnded>(&event)) ended->reason = Clip(ended->reason);
  Status admitted;
  if (auto* success = std::get_if<TaskSucceeded>(&event)) {
    const Status admission = Admit(run, task, success->result);
    if (!admission.ok()) {
      admitted = Status(admission.code(), Clip(std::string(admission.message())));
      spdlog::warn("{}: refused: {}", task_id, std::string(admitted.message()));
      Discard(success->result.blob_digest);
      event = TaskEnded{task_id, TaskStatus::kFailed,
                        "its result was refused: " + std::string(admitted.message())};
    }
  }
  CSL_RETURN_IF_ERROR(ApplyEvent(run.id, event));
  CSL_RETURN_IF_ERROR(admitted);
  return "";
}

Status Coordinator::Admit(const RunState& run, const TaskState& task, TaskResult& result) const {
  const auto classes = static_cast<int>(run.config.model.classes.size());
  if (result.evaluation.classes() != 0 && result.evaluation.classes() != classes) {
    return InvalidArgument("the evaluation has {} classes, want {}", result.evaluation.classes(),
                           classes);
  }
  if (task.kind == TaskKind::kEvaluate) return OkStatus();
  CSL_ASSIGN_OR_RETURN(const auto file, blobs_.Map(result.blob_digest));
  result.blob_bytes = file->bytes().size();
  if (task.kind == TaskKind::kInitialise) return CheckInitialModel(file->bytes(), run.config.model);
  if (result.train_examples == 0 || result.train_examples > kMaxTrainExamples) {
    return InvalidArgument("{} training examples, want 1 to {}", result.train_examples,
                           kMaxTrainExamples);
  }
  const std::string& base = run.models.back().digest;
  CSL_ASSIGN_OR_RETURN(const auto base_file, blobs_.Map(base));
  CSL_ASSIGN_OR_RETURN(const ModelHeader header, ParseModelHeader(base_file->bytes()));
  return CheckUpdate(file->bytes(), header,
                     {.run = run.id, .round = task.round, .base_digest = base});
}

Status Coordinator::CheckUpload(const std::string& site, const std::string& task_id,
                                std::uint64_t bytes) const {
  MutexLock lock(mu_);
  const auto [run, task] = Locate(task_id);
  if (task == nullptr || task->site != site || task->status != TaskStatus::kOpen ||
      task->kind == TaskKind::kEvaluate) {
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

void Coordinator::Discard(const std::string& digest) const {
  MutexLock lock(mu_);
  const bool needed = std::any_of(runs_.begin(), runs_.end(), [&](const RunState& run) {
    return HasModel(run, digest) || (!IsFinal(run.status) && IsContribution(run, digest));
  });
  if (!needed) blobs_.Remove(digest);
}

void Coordinator::Work() {
  PassTime();
  AverageRounds();
  AnswerWaiters();
}

void Coordinator::PassTime() {
  MutexLock lock(mu_);
  const auto context = Context();
  if (!context.ok()) return;  // the database is away; the next call sees the time again
  for (RunState& run : runs_) {
    if (IsFinal(run.status) || context->now < run.deadline) continue;
    const Status status = Advance(run, TimePassed{}, *context);
    if (!status.ok()) spdlog::error("{}: {}", run.id, std::string(status.message()));
  }
}

void Coordinator::AverageRounds() {
  std::vector<RunState> finished;
  {
    MutexLock lock(mu_);
    std::copy_if(runs_.begin(), runs_.end(), std::back_inserter(finished),
                 [](const RunState& run) { return run.status == RunStatus::kAggregating; });
  }
  for (const RunState& run : finished) {
    const auto contributions = ContributionsOf(run);
    const auto model =
        AverageRound(blobs_, run.id, run.round, run.models.back().digest, contributions);
    const RunEvent event = model.ok()
                               ? RunEvent(RoundAveraged{{run.round, model->digest, model->bytes}})
                               : RunEvent(RunBroken{std::string(model.status().message())});
    if (const Status status = ApplyEvent(run.id, event); !status.ok()) {
      spdlog::error("{}: {}", run.id, std::string(status.message()));
      continue;
    }
    for (const Contribution& contribution : contributions) Discard(contribution.digest);
  }
}

void Coordinator::WaitForWork(std::chrono::milliseconds time) {
  MutexLock lock(mu_);
  if (!work_due_) work_cv_.wait_for(mu_, time);
  work_due_ = false;
}

}  // namespace consilium
