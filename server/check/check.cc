#include "server/check/check.h"

#include <set>

#include "common/audit/trail.h"
#include "common/crypto/digest.h"
#include "server/state/run_state.h"
#include "server/store/blob_store.h"
#include "server/store/store.h"

namespace consilium {
namespace {

constexpr char kRestore[] =
    "stop the coordinator and restore its whole folder from one backup; a run that completed "
    "later is lost with it, the models that hospitals pulled are not";

constexpr char kTrailRemedy[] =
    "keep the file as evidence; compare it with the heads that the hospitals hold (audit verify)";

constexpr std::uint64_t kAnySize = 0;  // of a blob

class Check {
 public:
  explicit Check(const BlobStore& blobs) : blobs_(blobs) {}

  void LookAt(const RunState& run) {
    CheckState(run);
    for (const ModelVersion& model : run.models) {
      CheckBlob(fmt::format("{}: the model of round {}", run.id, model.round), model.digest,
                model.bytes,
                "put the file back from a backup or from a hospital that pulled it; without it no "
                "hospital can pull it and a run that stands there cannot go on");
    }
    if (IsFinal(run.status)) return;
    const std::string cancel = "cancel the run and submit its plan again with --from " + run.id;
    if (!run.models.empty() && !run.models.back().moments_digest.empty()) {
      CheckBlob(fmt::format("{}: the moments of the server's optimiser", run.id),
                run.models.back().moments_digest, kAnySize, cancel);
    }
    if (const std::string change = ChangeOf(run); !change.empty()) {
      needed_.insert(change);
      if (!blobs_.Has(change)) {
        Warn(fmt::format("{}: what the model of round {} changes of the one before is not there",
                         run.id, run.models.back().round),
             "nothing to do: the hospitals take the model as a whole");
      }
    }
    const bool is_encoded = run.config.update_encoding != UpdateEncoding::kFloat32;
    if (!run.regional.digest.empty()) {
      CheckBlob(fmt::format("{}: what goes to the higher coordinator", run.id), run.regional.digest,
                run.regional.bytes, cancel);
      return;
    }
    for (const auto& [site, task] : DeliveredTasks(run)) {
      const TaskResult& result = task->result;
      if (result.blob_digest.empty()) continue;
      // Of what was sent; a late one's blob is what it was moved to.
      const std::uint64_t bytes = is_encoded ? kAnySize : result.blob_bytes;
      const std::string wrong = WhatIsWrong(result.blob_digest, bytes);
      if (wrong.empty()) continue;
      Warn(fmt::format("{}: the update of {} for round {}: {}", run.id, site, task->round, wrong),
           "nothing to do: the hospital is asked for it again");
    }
  }

  Status LookForLeftovers() {
    CSL_ASSIGN_OR_RETURN(const auto blobs, blobs_.List());
    CSL_ASSIGN_OR_RETURN(const auto incoming, blobs_.ListIncoming());
    std::size_t unneeded = 0;
    for (const BlobStore::Entry& blob : blobs) unneeded += needed_.contains(blob.file) ? 0 : 1;
    if (unneeded > 0) {
      Warn(fmt::format("blobs/: {} files that no run needs", unneeded),
           "the coordinator removes them by itself");
    }
    if (!incoming.empty()) {
      Warn(fmt::format("incoming/: {} unfinished or unreported uploads", incoming.size()),
           "the coordinator goes on with them, or removes them by itself");
    }
    return OkStatus();
  }

  void Fail(std::string what, std::string remedy) {
    findings_.push_back({true, std::move(what), std::move(remedy)});
  }
  void Warn(std::string what, std::string remedy) {
    findings_.push_back({false, std::move(what), std::move(remedy)});
  }
  std::vector<Finding> Findings() && { return std::move(findings_); }

 private:
  // Of a blob that is needed; empty: nothing, or it was said before.
  std::string WhatIsWrong(const std::string& digest, std::uint64_t bytes) {
    if (!needed_.insert(digest).second) return "";
    const auto file = blobs_.Map(digest);
    if (!file.ok()) return std::string(file.status().message());
    if (bytes != kAnySize && (*file)->bytes().size() != bytes) {
      return fmt::format("blobs/{} has {} bytes, want {}", digest, (*file)->bytes().size(), bytes);
    }
    if (Sha256Of((*file)->bytes()) == digest) return "";
    return fmt::format("blobs/{} was damaged, its bytes do not have that SHA-256", digest);
  }
  void CheckBlob(const std::string& what, const std::string& digest, std::uint64_t bytes,
                 const std::string& remedy) {
    const std::string wrong = WhatIsWrong(digest, bytes);
    if (!wrong.empty()) Fail(fmt::format("{}: {}", what, wrong), remedy);
  }

  // What the engine keeps true of every run; see server/round/engine.h.
  void CheckState(const RunState& run) {
    const auto wrong = [&](const std::string& what) {
      Fail(fmt::format("{} is {} in round {}: {}", run.id, RunStatusName(run.status), run.round,
                       what),
           kRestore);
    };
    // A region may have missed a higher coordinator's rounds, and begun with a later one.
    for (std::size_t i = 0; i < run.models.size(); ++i) {
      const bool follows_up = i == 0 || run.models[i].round > run.models[i - 1].round;
      if (run.follows ? !follows_up : run.models[i].round != static_cast<int>(i)) {
        wrong(fmt::format("its model number {} is of round {}", i, run.models[i].round));
      }
    }
    const int models = run.models.empty() ? 0 : run.models.back().round + 1;
    const bool begun = run.status == RunStatus::kTraining ||
                       run.status == RunStatus::kAggregating ||
                       run.status == RunStatus::kEvaluating || run.status == RunStatus::kPaused;
    if (begun && models != run.round) wrong(fmt::format("it has {} global models", models));
    if (run.round > run.config.rounds + 1) {
      wrong(fmt::format("its plan has {} rounds", run.config.rounds));
    }
    const bool may_wait = run.status == RunStatus::kInitialising ||
                          run.status == RunStatus::kTraining ||
                          run.status == RunStatus::kEvaluating;
    for (const TaskState& task : run.tasks) {
      if (task.status != TaskStatus::kOpen) continue;
      if (!may_wait || task.round != run.round) wrong("task " + task.id + " is open");
    }
  }

  const BlobStore& blobs_;
  std::set<std::string> needed_;
  std::vector<Finding> findings_;
};

}  // namespace

StatusOr<std::vector<Finding>> CheckFolder(const std::filesystem::path& folder) {
  if (!std::filesystem::exists(folder / kDatabaseFile)) {
    return NotFound("{} holds no coordinator: no {}", folder.string(), kDatabaseFile);
  }
  CSL_ASSIGN_OR_RETURN(const BlobStore blobs, BlobStore::Open(folder));
  Check check(blobs);
  const auto store = Store::Open(folder / kDatabaseFile);
  if (!store.ok()) {
    check.Fail(std::string(store.status().message()), kRestore);
    return std::move(check).Findings();
  }
  if (std::filesystem::exists(folder / kTrailFile)) {
    const Status whole = VerifyTrail(folder / kTrailFile).status();
    if (!whole.ok()) check.Fail("audit trail: " + std::string(whole.message()), kTrailRemedy);
  }
  const Status sound = (*store)->CheckIntegrity();
  const auto runs = (*store)->LoadRuns();
  for (const Status& status : {sound, runs.status()}) {
    if (!status.ok()) check.Fail(std::string(status.message()), kRestore);
  }
  if (!runs.ok()) return std::move(check).Findings();
  for (const RunState& run : *runs) check.LookAt(run);
  CSL_RETURN_IF_ERROR(check.LookForLeftovers());
  return std::move(check).Findings();
}

}  // namespace consilium
