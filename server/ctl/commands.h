#pragma once

// The commands of consilium-ctl, each on an open connection; what they print goes to stdout.

#include <filesystem>
#include <memory>
#include <stop_token>
#include <string>

#include "common/base/status.h"

namespace consilium {

class Ctl {
 public:
  // Connects as the admin whose home is the folder; the connection is made at the first command.
  static StatusOr<Ctl> Open(const std::filesystem::path& home, bool json,
                            const std::stop_token& stop);
  Ctl(Ctl&&) noexcept;
  ~Ctl();

  Status Invite(const std::string& site);
  Status ListSites();
  Status RevokeSite(const std::string& site);

  // Prints the run's id; with watch, its rounds as they end, too.
  Status SubmitRun(const std::filesystem::path& plan, const std::filesystem::path& initial_model,
                   bool watch);
  Status ListRuns();
  Status ShowRun(const std::string& run);
  // A line a round until the run ends; FAILED_PRECONDITION where it did not complete.
  Status WatchRun(const std::string& run);
  Status CancelRun(const std::string& run);

  // run empty: of all runs.
  Status ListModels(const std::string& run);
  // round below 0: the last one.
  Status PullModel(const std::string& run, int round, const std::filesystem::path& path);

 private:
  struct Parts;
  explicit Ctl(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace consilium
