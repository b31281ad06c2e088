#pragma once

// How far the hospitals are with their tasks, as they say with their polls: who is stuck, and when
// a task will be done. In memory alone: after a restart the hospitals say it again.
//
// Everything here is derived from the round's deadline and from what was measured:
//   a report every 1/240 of the deadline, but at least every 15 s and at most twice a second;
//   a task that is reported and has not advanced for 1/10 of the deadline (10 s at least), and for
//   ten times the longest that it took between two advances, is stuck.
// A site that does not speak is not stuck: its network may be away while it trains on. The deadline
// bounds how long a round waits for it.

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "common/base/clock.h"

namespace consilium {

enum class TaskStage : std::uint8_t {
  kUnknown,
  kLoadingImages,
  kFetchingModel,
  kEvaluating,
  kTraining,
  kSendingUpdate,
};
inline constexpr std::size_t kTaskStages = 6;
std::string_view TaskStageName(TaskStage stage);

struct TaskProgress {
  TaskStage stage = TaskStage::kUnknown;
  std::uint64_t done = 0;
  std::uint64_t total = 0;  // 0: not known

  bool operator==(const TaskProgress&) const = default;
};

std::chrono::milliseconds ProgressInterval(std::chrono::seconds round_deadline);

// What is known of an open task.
struct TaskOutlook {
  TaskProgress progress;
  TimePoint heard;                // when its site spoke of it last
  std::optional<TimePoint> ends;  // as it gets on; from what this site's last task took, beyond
                                  // the stage that it is in
};

// Not thread-safe.
class ProgressBoard {
 public:
  // A site's word on its task in a run. Tasks are known by id; what their stages took is kept for
  // the site's next task in the run.
  void Note(const std::string& run, const std::string& site, const std::string& task,
            const TaskProgress& progress, TimePoint now);
  std::optional<TaskOutlook> Find(const std::string& task) const;
  // "stopped advancing at training, 12 of 40, for 30 s" where the task is stuck; empty otherwise.
  std::string WhyStuck(const std::string& task, std::chrono::seconds round_deadline) const;
  // Forgets the tasks and the runs that are not wanted any more.
  void Forget(const std::function<bool(const std::string& task)>& task_is_open,
              const std::function<bool(const std::string& run)>& run_is_alive);

 private:
  using StageTimes = std::array<std::chrono::milliseconds, kTaskStages>;
  struct Entry {
    std::string run;
    std::string site;
    TaskProgress progress;
    TimePoint heard;
    TimePoint advanced;
    std::chrono::milliseconds longest_gap{0};  // between two advances
    TimePoint stage_began;
    std::uint64_t stage_began_at = 0;
  };

  std::optional<TimePoint> EndOf(const Entry& entry) const;

  std::map<std::string, Entry> tasks_;
  std::map<std::string, std::map<std::string, StageTimes>> times_;  // by run and site
};

}  // namespace consilium
