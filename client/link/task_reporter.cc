#include "client/link/task_reporter.h"

#include "common/rpc/channel.h"

namespace consilium {

TaskReporter::TaskReporter(CurrentIdentity& identity, const std::string& task_id,
                           std::chrono::milliseconds interval, const std::stop_token& stop)
    : stop_(stop) {
  {
    MutexLock lock(mu_);
    progress_.set_task_id(task_id);
  }
  if (interval.count() == 0) return;
  thread_ = std::jthread([this, &identity, interval](const std::stop_token& done) {
    while (SleepFor(interval, done)) Speak(identity, done);
  });
}

void TaskReporter::Set(v1::TaskStage stage, std::uint64_t done, std::uint64_t total) {
  MutexLock lock(mu_);
  progress_.set_stage(stage);
  progress_.set_done(done);
  progress_.set_total(total);
}

void TaskReporter::Advance(std::uint64_t done, std::uint64_t total) {
  MutexLock lock(mu_);
  progress_.set_done(done);
  progress_.set_total(total);
}

void TaskReporter::Speak(CurrentIdentity& identity, const std::stop_token& stop) {
  v1::TaskProgress progress;
  {
    MutexLock lock(mu_);
    progress = progress_;
  }
  identity.KeepCurrent(SystemClock().Now());
  const auto ended = identity.client().ReportProgress(progress, stop);
  if (!ended.ok() || !*ended) return;
  has_ended_ = true;
  stop_.Request();
}

}  // namespace consilium
