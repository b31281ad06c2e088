#include "server/round/progress.h"

#include <fmt/format.h>

#include <algorithm>

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

std::size_t IndexOf(TaskStage stage) { return static_cast<std::size_t>(stage); }

}  // namespace

std::string_view TaskStageName(TaskStage stage) {
  constexpr std::array<std::string_view, kTaskStages> kNames = {
      "starting",   "loading images", "fetching the global model",
      "evaluating", "training",       "sending the update"};
  return kNames[IndexOf(stage)];
}

milliseconds ProgressInterval(seconds round_deadline) {
  return std::clamp<milliseconds>(milliseconds(round_deadline) / kReportsADeadline,
                                  kShortestInterval, kLongestInterval);
}

void ProgressBoard::Note(const std::string& run, const std::string& site, const std::string& task,
                         const TaskProgress& progress, TimePoint now) {
  const auto [it, is_new] = tasks_.try_emplace(task);
  Entry& entry = it->second;
  if (is_new) {
    entry = {.run = run, .site = site, .progress = progress, .advanced = now, .stage_began = now};
    entry.stage_began_at = progress.done;
  }
  entry.heard = now;
  if (progress == entry.progress) return;
  if (progress.stage != entry.progress.stage) {
    times_[run][site][IndexOf(entry.progress.stage)] = now - entry.stage_began;
    entry.stage_began = now;
    entry.stage_began_at = progress.done;
  } else {
    entry.longest_gap = std::max(entry.longest_gap, now - entry.advanced);
  }
  entry.progress = progress;
  entry.advanced = now;
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
  // Most of a task is its training; without a time for it nothing can be said.
  if (stage < TaskStage::kTraining && known(TaskStage::kTraining).count() == 0) return std::nullopt;

  milliseconds left{0};
  const auto done = static_cast<double>(entry.progress.done);
  const double since = done - static_cast<double>(entry.stage_began_at);
  if (since > 0 && entry.progress.total > 0) {
    const double a_unit = static_cast<double>((entry.advanced - entry.stage_began).count()) / since;
    const double rest = std::max(0.0, static_cast<double>(entry.progress.total) - done);
    left = milliseconds(static_cast<std::int64_t>(a_unit * rest));
  } else if (known(stage).count() > 0) {
    left = known(stage);
  } else {
    return std::nullopt;
  }
  for (std::size_t later = IndexOf(stage) + 1; later < kTaskStages; ++later) {
    left += known(static_cast<TaskStage>(later));
  }
  return entry.advanced + left;
}

std::string ProgressBoard::WhyStuck(const std::string& task, seconds round_deadline) const {
  const auto found = tasks_.find(task);
  if (found == tasks_.end() || found->second.progress.stage == TaskStage::kUnknown) return "";
  const Entry& entry = found->second;
  const milliseconds patience = std::max({milliseconds(round_deadline) / kPatiencesADeadline,
                                          kLeastPatience, kGapsOfPatience * entry.longest_gap});
  const milliseconds still = entry.heard - entry.advanced;
  if (still <= patience) return "";
  return fmt::format("stopped advancing: {}, {} of {} for {} s",
                     TaskStageName(entry.progress.stage), entry.progress.done, entry.progress.total,
                     std::chrono::duration_cast<seconds>(still).count());
}

void ProgressBoard::Forget(const std::function<bool(const std::string&)>& task_is_open,
                           const std::function<bool(const std::string&)>& run_is_alive) {
  std::erase_if(tasks_, [&](const auto& entry) { return !task_is_open(entry.first); });
  std::erase_if(times_, [&](const auto& entry) { return !run_is_alive(entry.first); });
}

}  // namespace consilium
