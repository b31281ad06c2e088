#pragma once

// The commands of consilium-ctl, each on an open connection; what they print goes to stdout.
// commands.cc has the connection and runs, and each *_commands.cc what its name says.

#include <filesystem>
#include <memory>
#include <stop_token>
#include <string>

#include "common/base/status.h"

namespace consilium {

class Ctl {
 public:
  // Connects as the one whose home is the folder; the connection is made at the first command.
  static StatusOr<Ctl> Open(const std::filesystem::path& home, bool json,
                            const std::stop_token& stop);
  Ctl(Ctl&&) noexcept;
  ~Ctl();

  // role empty: hospital.
  Status Invite(const std::string& site, const std::string& role);
  Status ListSites();
  Status RevokeSite(const std::string& site);
  // Another key and certificate for the identity that calls.
  Status Renew();

  // Prints the run's id; with watch, its rounds as they end, too. It starts from a model file, from
  // a global model (RUN@ROUND, or RUN for its last), or where both are empty from the plan's seed.
  Status SubmitRun(const std::filesystem::path& plan, const std::filesystem::path& initial_model,
                   const std::string& from, bool watch);
  Status ListRuns();
  Status ShowRun(const std::string& run);
  // Writes a page of tables and plots.
  Status ReportRun(const std::string& run, const std::filesystem::path& path);
  // A line a round until the run ends or pauses; FAILED_PRECONDITION where it did not train to its
  // end.
  Status WatchRun(const std::string& run);
  Status CancelRun(const std::string& run);
  Status PauseRun(const std::string& run);
  Status ResumeRun(const std::string& run);

  // run empty: of all runs.
  Status ListModels(const std::string& run);
  // A global model: RUN@ROUND, or RUN for its last. Its signed manifest is put beside it.
  Status PullModel(const std::string& model, const std::filesystem::path& path);
  // Tells the hospitals that follow the channel to use a global model, or not to use it any more.
  Status ReleaseModel(const std::string& model, const std::string& channel);
  Status WithdrawModel(const std::string& model, const std::string& channel);
  Status ListReleases();

  // The coordinator's audit trail: as it is, as a file that is checked, or checked alone.
  Status ShowAudit();
  Status PullAudit(const std::filesystem::path& path);
  Status VerifyAudit();

 private:
  struct Parts;
  explicit Ctl(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace consilium
