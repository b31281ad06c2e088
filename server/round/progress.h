#pragma once

// How far the hospitals are with their tasks, as they say with their polls: who is stuck, and when
// a task will be done. In memory alone: after a restart the hospitals say it again.
//
// Everything here is derived from the round's deadline and from what was measured:
//   a report every 1/240 of the deadline, but at least every 15 s and at most twice a second;
//   a task whose work is reported and has not advanced for 1/10 of the deadline (10 s at least),
//   and for ten times the longest that it took between two advances, is stuck.
// Work is training, evaluating and decoding images. Transfers are not: their pace is the network's,
// and the coordinator's disk. Nor is waiting for somebody's approval or for a region's hospitals,
// nor silence: the network may be away while a site trains on; only the time between two reports
// that follow each other counts. The deadline bounds both.

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "common/base/clock.h"
#include "server/state/run_state.h"

namespace consilium {

enum class TaskStage : std::uint8_t {
  kUnknown,
  kLoadingImages,
  kFetchingModel,
  kEvaluating,
  kTraining,
  kSendingUpdate,
  kAwaitingApproval,
  kWaitingForSites,  // of a region: its own sites are at it
};
inline constexpr std::size_t kTaskStages = 8;
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
  // A site's word on its task in a run. What the task's stages took is kept for the site's next
  // task in the run.
  void Note(const RunState& run, const TaskState& task, const TaskProgress& progress,
            TimePoint now);
  std::optional<TaskOutlook> Find(const std::string& task) const;
  // "stopped advancing at training, 12 of 40, for 30 s" where the task is stuck; empty otherwise.
  std::string WhyStuck(const std::string& task) const;
  // Forgets the tasks and the runs that are not wanted any more.
  void Forget(const std::function<bool(const std::string& task)>& task_is_open,
              const std::function<bool(const std::string& run)>& run_is_alive);

 private:
  using StageTimes = std::array<std::chrono::milliseconds, kTaskStages>;
  struct Entry {
    std::string run;
    std::string site;
    TaskKind kind = TaskKind::kTrain;
    std::chrono::seconds round_deadline{0};
    TaskProgress progress;
    TimePoint heard;
    std::chrono::milliseconds still{0};        // said to stand still for, silence not counted
    std::chrono::milliseconds longest_gap{0};  // the most that `still` was before an advance
    TimePoint stage_began;
    // The stage's first advance, and its last: its pace lies between them.
    TimePoint first_advance;
    std::uint64_t first_done = 0;
    TimePoint last_advance;
  };

  static void BeginStage(Entry& entry, const TaskProgress& progress, TimePoint now);
  std::optional<TimePoint> EndOf(const Entry& entry) const;

  std::map<std::string, Entry> tasks_;
  std::map<std::string, std::map<std::string, StageTimes>> times_;  // by run and site
};

}  // namespace consilium
