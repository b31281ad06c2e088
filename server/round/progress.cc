#include "server/round/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace consilium {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kReportsADeadline = 240;
constexpr milliseconds kShortestInterval{500};
constexpr milliseconds kLongestInterval{15'000};
constexpr int kPatiencesADeadline = 10;
constexpr milliseconds kLeastPatience{10'000};
constexpr int kGapsOfPatience = 10;
constexpr int kReportsOfSilence = 3;  // that fail to come before a site counts as silent

std::size_t IndexOf(TaskStage stage) { return static_cast<std::size_t>(stage); }

// Whether it can be told from the reports that the work stands still. Looking for images comes
// before the first of them and has no count.
bool IsWork(const TaskProgress& progress) {
  return progress.stage == TaskStage::kTraining || progress.stage == TaskStage::kEvaluating ||
         (progress.stage == TaskStage::kLoadingImages && progress.done > 0);
}

}  // namespace

std::string_view TaskStageName(TaskStage stage) {
  constexpr std::array<std::string_view, kTaskStages> kNames = {
      "starting", "loading images",     "fetching the global model", "evaluating",
      "training", "sending the update", "awaiting approval",         "waiting for its hospitals"};
  return kNames[IndexOf(stage)];
}

milliseconds ProgressInterval(seconds round_deadline) {
  return std::clamp<milliseconds>(milliseconds(round_deadline) / kReportsADeadline,
                                  kShortestInterval, kLongestInterval);
}

void ProgressBoard::BeginStage(Entry& entry, const TaskProgress& progress, TimePoint now) {
  entry.progress = progress;
  entry.stage_began = entry.last_advance = now;
  entry.first_advance = TimePoint();
}

void ProgressBoard::Note(const RunState& run, const TaskState& task, const TaskProgress& progress,
                         TimePoint now) {
  const auto [it, is_new] = tasks_.try_emplace(task.id);
  Entry& entry = it->second;
  if (is_new) {
    entry = {.run = run.id,
             .site = task.site,
             .kind = task.kind,
             .round_deadline = run.config.round_deadline,
             .heard = now};
    BeginStage(entry, progress, now);
  }
  const milliseconds gap = now - std::exchange(entry.heard, now);
  if (gap <= kReportsOfSilence * ProgressInterval(entry.round_deadline)) entry.still += gap;
  if (progress == entry.progress) return;
  entry.longest_gap = std::max(entry.longest_gap, std::exchange(entry.still, milliseconds(0)));
  if (progress.stage != entry.progress.stage) {
    times_[run.id][task.site][IndexOf(entry.progress.stage)] = now - entry.stage_began;
    BeginStage(entry, progress, now);
    return;
  }
  // The first advance may be of what was done before, by a process that died.
  if (entry.first_advance == TimePoint() || progress.done < entry.progress.done) {
    entry.first_advance = now;
    entry.first_done = progress.done;
  }
  entry.progress = progress;
  entry.last_advance = now;
}

std::optional<TaskOutlook> ProgressBoard::Find(const std::string& task) const {
  const auto found = tasks_.find(task);
  if (found == tasks_.end()) return std::nullopt;
  const Entry& entry = found->second;
  return TaskOutlook{.progress = entry.progress, .heard = entry.heard, .ends = EndOf(entry)};
}

std::optional<TimePoint> ProgressBoard::EndOf(const Entry& entry) const {
  const StageTimes* before = nullptr;  // what the site's last task took
  if (const auto run = times_.find(entry.run); run != times_.end()) {
    const auto site = run->second.find(entry.site);
    if (site != run->second.end()) before = &site->second;
  }
  const TaskStage stage = entry.progress.stage;
  const auto known = [&](TaskStage which) {
    return before == nullptr ? milliseconds(0) : (*before)[IndexOf(which)];
  };
  const bool trains = entry.kind == TaskKind::kTrain;
  // That is people's time, and other hospitals'.
  if (stage == TaskStage::kAwaitingApproval || stage == TaskStage::kWaitingForSites) {
    return std::nullopt;
  }
  // Most of a training's task is its training; without a time for it nothing can be said.
  if (trains && stage < TaskStage::kTraining && known(TaskStage::kTraining).count() == 0) {
    return std::nullopt;
  }

  milliseconds left{0};
  const double done = static_cast<double>(entry.progress.done);
  const double since = done - static_cast<double>(entry.first_done);
  if (entry.first_advance != TimePoint() && since > 0 && entry.progress.total > 0) {
    const double a_unit =
        static_cast<double>((entry.last_advance - entry.first_advance).count()) / since;
    const double rest = std::max(0.0, static_cast<double>(entry.progress.total) - done);
    constexpr double kLongest = milliseconds(std::chrono::years(1)).count();  // of what a site says
    left = milliseconds(static_cast<std::int64_t>(std::min(a_unit * rest, kLongest)));
  } else if (known(stage).count() > 0) {
    left = known(stage);
  } else {
    return std::nullopt;
  }
  const TaskStage last = trains ? TaskStage::kSendingUpdate : TaskStage::kEvaluating;
  for (std::size_t later = IndexOf(stage) + 1; later <= IndexOf(last); ++later) {
    left += known(static_cast<TaskStage>(later));
  }
  return entry.last_advance + left;
}

std::string ProgressBoard::WhyStuck(const std::string& task) const {
  const auto found = tasks_.find(task);
  if (found == tasks_.end() || !IsWork(found->second.progress)) return "";
  const Entry& entry = found->second;
  const milliseconds patience = std::max({milliseconds(entry.round_deadline) / kPatiencesADeadline,
                                          kLeastPatience, kGapsOfPatience * entry.longest_gap});
  if (entry.still <= patience) return "";
  return fmt::format("stopped advancing: {}, {} of {} for {} s",
                     TaskStageName(entry.progress.stage), entry.progress.done, entry.progress.total,
                     std::chrono::duration_cast<seconds>(entry.still).count());
}

void ProgressBoard::Forget(const std::function<bool(const std::string&)>& task_is_open,
                           const std::function<bool(const std::string&)>& run_is_alive) {
  std::erase_if(tasks_, [&](const auto& task) {
    const Entry& entry = task.second;
    if (task_is_open(task.first)) return false;
    // Its last stage ended with it.
    times_[entry.run][entry.site][IndexOf(entry.progress.stage)] = entry.heard - entry.stage_began;
    return true;
  });
  std::erase_if(times_, [&](const auto& entry) { return !run_is_alive(entry.first); });
}

}  // namespace consilium
