#pragma once

// The coordinator's memory: sites, invitations, runs, tasks and models in one SQLite file. Each
// call is one transaction, durable when it returns.

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/status.h"
#include "server/state/run_state.h"
#include "server/store/database.h"

namespace consilium {

// In a coordinator's folder.
inline constexpr char kDatabaseFile[] = "consilium.db";

struct SiteRecord {
  std::string name;
  std::string certificate_serial;
  bool revoked = false;
  TimePoint joined;
  TimePoint last_seen;  // 1970: never
  TimePoint certificate_expires;
};

// An invitation. The token itself is nowhere: only its SHA-256.
struct TokenRecord {
  std::string hash;
  std::string site;
  TimePoint expires;
  bool used = false;
};

// Thread-safe.
class Store {
 public:
  // Opens the database, makes it, or brings it up to date. FAILED_PRECONDITION where a newer
  // version wrote it.
  static StatusOr<std::unique_ptr<Store>> Open(const std::filesystem::path& path);

  // DATA_LOSS with the first thing that SQLite finds wrong in the file.
  Status CheckIntegrity();

  Status AddToken(const TokenRecord& token);
  StatusOr<std::optional<TokenRecord>> FindToken(const std::string& hash);
  // Uses the token up and adds the site, or replaces the one of that name.
  Status Enrol(const std::string& token_hash, const SiteRecord& site);

  StatusOr<std::vector<SiteRecord>> ListSites();  // by name
  StatusOr<std::optional<SiteRecord>> FindSite(const std::string& name);
  Status RevokeSite(const std::string& name);
  Status SetLastSeen(const std::string& name, TimePoint when);

  // Writes a run's state; of its models and misses the newest, as no transition adds more.
  Status SaveRun(const RunState& run);
  // Every run, oldest first, with the tasks of its current round and the one before.
  StatusOr<std::vector<RunState>> LoadRuns();
  // All tasks that a run has had from a round on, in the order they were opened.
  StatusOr<std::vector<TaskState>> LoadTasks(const std::string& run_id, int from_round);

 private:
  explicit Store(Database database) : db_(std::move(database)) {}

  Status CreateSchema();
  Status SaveTask(const std::string& run_id, const TaskState& task)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Status SaveModel(const std::string& run_id, const ModelVersion& model)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Status SaveMiss(const std::string& run_id, const Miss& miss) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  StatusOr<std::vector<TaskState>> SelectTasks(const std::string& run_id, int first_round)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  StatusOr<std::vector<ModelVersion>> SelectModels(const std::string& run_id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  StatusOr<std::vector<Miss>> SelectMisses(const std::string& run_id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  Mutex mu_;
  Database db_ ABSL_GUARDED_BY(mu_);
};

}  // namespace consilium
