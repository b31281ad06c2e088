#include <algorithm>

#include "server/store/store.h"

namespace consilium {

bool IsWithdrawn(const ReleaseRecord& release) { return !release.withdrawn_by.empty(); }

const ReleaseRecord* CurrentRelease(const std::vector<ReleaseRecord>& releases,
                                    const std::string& channel) {
  const auto found =
      std::find_if(releases.rbegin(), releases.rend(), [&](const ReleaseRecord& release) {
        return release.channel == channel && !IsWithdrawn(release);
      });
  return found == releases.rend() ? nullptr : &*found;
}

Status Store::AddRelease(const ReleaseRecord& release) {
  MutexLock lock(mu_);
  return db_
      .Prepare(
          "INSERT INTO releases (channel, run, round, digest, released_by, released, withdrawn_by, "
          "withdrawn) VALUES (?, ?, ?, ?, ?, ?, '', 0)")
      .Bind(release.channel)
      .Bind(release.run_id)
      .Bind(std::int64_t{release.round})
      .Bind(release.digest)
      .Bind(release.released_by)
      .Bind(ToUnixMillis(release.released))
      .Run();
}

Status Store::WithdrawRelease(const ReleaseRecord& withdrawn) {
  MutexLock lock(mu_);
  return db_.Transact([&]() -> Status {
    mu_.AssertHeld();
    Statement row = db_.Prepare(
        "SELECT 1 FROM releases WHERE channel = ? AND run = ? AND round = ? AND withdrawn_by = ''");
    row.Bind(withdrawn.channel).Bind(withdrawn.run_id).Bind(std::int64_t{withdrawn.round});
    CSL_ASSIGN_OR_RETURN(const bool found, row.Step());
    if (!found) {
      return NotFound("{}@{} is not released on the channel '{}'", withdrawn.run_id,
                      withdrawn.round, withdrawn.channel);
    }
    return db_
        .Prepare(
            "UPDATE releases SET withdrawn_by = ?, withdrawn = ? "
            "WHERE channel = ? AND run = ? AND round = ? AND withdrawn_by = ''")
        .Bind(withdrawn.withdrawn_by)
        .Bind(ToUnixMillis(withdrawn.withdrawn))
        .Bind(withdrawn.channel)
        .Bind(withdrawn.run_id)
        .Bind(std::int64_t{withdrawn.round})
        .Run();
  });
}

StatusOr<std::vector<ReleaseRecord>> Store::ListReleases() {
  MutexLock lock(mu_);
  Statement row = db_.Prepare(
      "SELECT channel, run, round, digest, released_by, released, withdrawn_by, withdrawn "
      "FROM releases ORDER BY id");
  std::vector<ReleaseRecord> releases;
  while (true) {
    CSL_ASSIGN_OR_RETURN(const bool more, row.Step());
    if (!more) return releases;
    releases.push_back({.channel = row.Text(0),
                        .run_id = row.Text(1),
                        .round = static_cast<int>(row.Int(2)),
                        .digest = row.Text(3),
                        .released_by = row.Text(4),
                        .released = FromUnixMillis(row.Int(5)),
                        .withdrawn_by = row.Text(6),
                        .withdrawn = FromUnixMillis(row.Int(7))});
  }
}

}  // namespace consilium
