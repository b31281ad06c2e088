#pragma once

// The coordinator's memory: members, invitations, runs, tasks and models in one SQLite file. Each
// call is one transaction, durable when it returns. store_members.cc has who belongs to the
// federation, store_releases.cc what is released, store.cc the rest.

#include <atomic>
#include <climits>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "certs/identity.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/status.h"
#include "server/state/run_state.h"
#include "server/store/database.h"

namespace consilium {

// In a coordinator's folder.
inline constexpr char kDatabaseFile[] = "consilium.db";

// Whoever has a certificate of the federation.
struct MemberRecord {
  std::string name;
  Role role = Role::kHospital;
  bool revoked = false;
  TimePoint joined;
  TimePoint last_seen;            // 1970: never
  TimePoint certificate_expires;  // the last of its certificates; 1970: it has none that is good
};

// A certificate that was issued to a member.
struct CertificateRecord {
  std::string serial;
  std::string member;
  TimePoint issued;
  TimePoint expires;
  bool used = false;  // a call was made with it
  TimePoint ends;     // it was revoked or replaced, and is good until then; 1970: neither
};

// An invitation. The token itself is nowhere: only its SHA-256.
struct TokenRecord {
  std::string hash;
  std::string member;
  Role role = Role::kHospital;
  TimePoint expires;
  bool used = false;
};

// A global model that hospitals are told to use.
struct ReleaseRecord {
  std::string channel;
  std::string run_id;
  int round = 0;
  std::string digest;
  std::string released_by;
  TimePoint released;
  std::string withdrawn_by;  // empty: it is not
  TimePoint withdrawn;
};
bool IsWithdrawn(const ReleaseRecord& release);
// The channel's newest that is not withdrawn; null where there is none. They come oldest first.
const ReleaseRecord* CurrentRelease(const std::vector<ReleaseRecord>& releases,
                                    const std::string& channel);

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
  // Adds the member, or replaces the one of that name, whose certificates end; the given one is its
  // first. All of its tokens are used up.
  Status Enrol(const MemberRecord& member, const CertificateRecord& certificate);

  StatusOr<std::vector<MemberRecord>> ListMembers();  // by name
  StatusOr<std::optional<MemberRecord>> FindMember(const std::string& name);
  // Its certificates end at `when`, its tokens are used up.
  Status RevokeMember(const std::string& name, TimePoint when);
  Status SetLastSeen(const std::string& name, TimePoint when);

  // Another number whenever members or their certificates may have changed, but for when they were
  // last seen.
  std::uint64_t members_version() const { return members_version_; }

  // Adds one to the member's, in the place of any that was never used.
  Status AddCertificate(const CertificateRecord& certificate);
  StatusOr<std::optional<CertificateRecord>> FindCertificate(const std::string& serial);
  // When the member last got another one than its first; none: never.
  StatusOr<std::optional<TimePoint>> LastRenewed(const std::string& member);
  // The first call was made with the certificate: the member's earlier ones are good until
  // `others_end`. Nothing where it has ended meanwhile.
  Status UseCertificate(const CertificateRecord& certificate, TimePoint others_end);
  // Those that ended before `now` and have not expired, by serial number.
  StatusOr<std::vector<CertificateRecord>> EndedCertificates(TimePoint now);

  // Writes a run's state; of its models the newest, as no transition adds more. `before`, where it
  // is not null, is what was written of it last: of its tasks those that differ are written, and
  // misses of its round and later ones.
  Status SaveRun(const RunState& run, const RunState* before = nullptr);
  // Every run, oldest first, with the tasks of its current round and the one before.
  StatusOr<std::vector<RunState>> LoadRuns();
  // All tasks that a run has had in these rounds, in the order they were opened.
  StatusOr<std::vector<TaskState>> LoadTasks(const std::string& run_id, int first_round,
                                             int last_round = INT_MAX);

  Status AddRelease(const ReleaseRecord& release);
  // NOT_FOUND where no such model is released on the channel, or it is withdrawn already.
  Status WithdrawRelease(const ReleaseRecord& withdrawn);
  StatusOr<std::vector<ReleaseRecord>> ListReleases();  // oldest first

 private:
  explicit Store(Database database) : db_(std::move(database)) {}

  Status CreateSchema();
  Status InsertCertificate(const CertificateRecord& certificate) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Status EndCertificates(const std::string& member, TimePoint when)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Status EndTokens(const std::string& member) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Status SaveTask(const std::string& run_id, const TaskState& task)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Status SaveModel(const std::string& run_id, const ModelVersion& model)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Status SaveMiss(const std::string& run_id, const Miss& miss) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  StatusOr<std::vector<TaskState>> SelectTasks(const std::string& run_id, int first_round,
                                               int last_round) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  StatusOr<std::vector<ModelVersion>> SelectModels(const std::string& run_id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  StatusOr<std::vector<Miss>> SelectMisses(const std::string& run_id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  Mutex mu_;
  Database db_ ABSL_GUARDED_BY(mu_);
  std::atomic<std::uint64_t> members_version_ = 0;
};

}  // namespace consilium
