#include "server/store/store.h"

#include <iterator>
#include <sstream>

#include "common/wire/convert.h"
#include "server/store/run_config.h"
#include "server/store/schema.h"

namespace consilium {
namespace {

constexpr char kRunColumns[] =
    "SELECT id, plan, status, reason, round, attempt, pausing, initialisations, deadline, created, "
    "ended, follows, regional_round, regional_digest, regional_bytes FROM runs "
    "ORDER BY rowid";
constexpr char kTaskColumns[] =
    "SELECT id, site, round, kind, status, reason, blob_digest, blob_bytes, train_examples, "
    "train_loss, train_seconds, update_norm, evaluation, steps, class_counts FROM tasks "
    "WHERE run = ? AND round BETWEEN ? AND ? ORDER BY rowid";

StatusOr<RunState> ReadRunRow(const Statement& row) {
  RunState run;
  run.id = row.Text(0);
  run.plan = row.Text(1);
  const auto config = ParseRunConfig(run.plan);
  if (!config.ok()) return Annotate(config.status(), "database: run " + run.id);
  run.config = *config;
  CSL_ASSIGN_OR_RETURN(
      run.status, ToEnum(row.Int(2), RunStatus::kAwaitingModel, "the status of run " + run.id));
  run.reason = row.Text(3);
  run.round = static_cast<int>(row.Int(4));
  run.attempt = static_cast<int>(row.Int(5));
  run.pausing = row.Int(6) != 0;
  run.initialisations = static_cast<int>(row.Int(7));
  run.deadline = FromUnixMillis(row.Int(8));
  run.created = FromUnixMillis(row.Int(9));
  run.ended = FromUnixMillis(row.Int(10));
  run.follows = row.Int(11) != 0;
  run.regional = {.round = static_cast<int>(row.Int(12)),
                  .digest = row.Text(13),
                  .bytes = static_cast<std::uint64_t>(row.Int(14)),
                  .moments_digest = "",
                  .change_digest = ""};
  return run;
}

// Numbers with blanks between them.
StatusOr<std::vector<std::uint64_t>> ReadCounts(const std::string& text, const std::string& task) {
  std::istringstream words(text);
  std::vector<std::uint64_t> counts{std::istream_iterator<std::uint64_t>(words), {}};
  if (words.eof()) return counts;
  return DataLoss("database: task {} has damaged class counts", task);
}

StatusOr<TaskState> ReadTaskRow(const Statement& row) {
  TaskState task{.id = row.Text(0),
                 .site = row.Text(1),
                 .round = static_cast<int>(row.Int(2)),
                 .reason = row.Text(5),
                 .result = {.blob_digest = row.Text(6),
                            .blob_bytes = static_cast<std::uint64_t>(row.Int(7)),
                            .train_examples = static_cast<std::uint64_t>(row.Int(8)),
                            .steps = static_cast<std::uint64_t>(row.Int(13)),
                            .train_loss = row.Real(9),
                            .train_seconds = row.Real(10),
                            .update_norm = row.Real(11),
                            .evaluation = {},
                            .class_counts = {}}};
  CSL_ASSIGN_OR_RETURN(task.kind,
                       ToEnum(row.Int(3), TaskKind::kEvaluate, "the kind of task " + task.id));
  CSL_ASSIGN_OR_RETURN(task.status,
                       ToEnum(row.Int(4), TaskStatus::kMissed, "the status of task " + task.id));
  v1::Evaluation evaluation;
  if (!evaluation.ParseFromString(row.Text(12))) {
    return DataLoss("database: task {} has a damaged evaluation", task.id);
  }
  CSL_ASSIGN_OR_RETURN(task.result.evaluation, FromProto(evaluation));
  CSL_ASSIGN_OR_RETURN(task.result.class_counts, ReadCounts(row.Text(14), task.id));
  return task;
}

std::int64_t ToSigned(std::uint64_t value) { return static_cast<std::int64_t>(value); }

}  // namespace

StatusOr<std::unique_ptr<Store>> Store::Open(const std::filesystem::path& path) {
  CSL_ASSIGN_OR_RETURN(Database database, Database::Open(path));
  std::unique_ptr<Store> store(new Store(std::move(database)));
  CSL_RETURN_IF_ERROR(Annotate(store->CreateSchema(), path.string()));
  return store;
}

Status Store::CreateSchema() {
  MutexLock lock(mu_);
  Statement version = db_.Prepare("PRAGMA user_version");
  CSL_RETURN_IF_ERROR(version.Step().status());
  const auto held = static_cast<std::size_t>(version.Int(0));
  if (held == kSchemaSteps.size()) return OkStatus();
  if (held > kSchemaSteps.size()) {
    return FailedPrecondition("the database has version {}, this build reads up to {}", held,
                              kSchemaSteps.size());
  }
  return db_.Transact([&]() -> Status {
    mu_.AssertHeld();
    for (std::size_t step = held; step < kSchemaSteps.size(); ++step) {
      CSL_RETURN_IF_ERROR(db_.Execute(kSchemaSteps[step]));
    }
    return db_.Execute(fmt::format("PRAGMA user_version = {}", kSchemaSteps.size()));
  });
}

Status Store::CheckIntegrity() {
  MutexLock lock(mu_);
  Statement integrity = db_.Prepare("PRAGMA integrity_check(1)");
  CSL_RETURN_IF_ERROR(integrity.Step().status());
  if (integrity.Text(0) != "ok") return DataLoss("database: {}", integrity.Text(0));
  Statement reference = db_.Prepare("PRAGMA foreign_key_check");
  CSL_ASSIGN_OR_RETURN(const bool broken, reference.Step());
  if (broken)
    return DataLoss("database: table {} speaks of a row that is not there", reference.Text(0));
  return OkStatus();
}

Status Store::SaveRun(const RunState& run, const RunState* before) {
  MutexLock lock(mu_);
  return db_.Transact([&]() -> Status {
    mu_.AssertHeld();
    CSL_RETURN_IF_ERROR(
        db_.Prepare("INSERT INTO runs (id, plan, status, reason, round, attempt, pausing, "
                    "initialisations, deadline, created, ended, follows, regional_round, "
                    "regional_digest, regional_bytes) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
                    "ON CONFLICT (id) DO UPDATE SET status = excluded.status, "
                    "reason = excluded.reason, round = excluded.round, "
                    "attempt = excluded.attempt, pausing = excluded.pausing, "
                    "initialisations = excluded.initialisations, deadline = excluded.deadline, "
                    "ended = excluded.ended, regional_round = excluded.regional_round, "
                    "regional_digest = excluded.regional_digest, "
                    "regional_bytes = excluded.regional_bytes")
            .Bind(run.id)
            .Bind(run.plan)
            .Bind(static_cast<std::int64_t>(run.status))
            .Bind(run.reason)
            .Bind(std::int64_t{run.round})
            .Bind(std::int64_t{run.attempt})
            .Bind(std::int64_t{run.pausing})
            .Bind(std::int64_t{run.initialisations})
            .Bind(ToUnixMillis(run.deadline))
            .Bind(ToUnixMillis(run.created))
            .Bind(ToUnixMillis(run.ended))
            .Bind(std::int64_t{run.follows})
            .Bind(std::int64_t{run.regional.round})
            .Bind(run.regional.digest)
            .Bind(ToSigned(run.regional.bytes))
            .Run());
    for (std::size_t i = 0; i < run.tasks.size(); ++i) {
      const bool is_written =
          before != nullptr && i < before->tasks.size() && before->tasks[i] == run.tasks[i];
      if (!is_written) CSL_RETURN_IF_ERROR(SaveTask(run.id, run.tasks[i]));
    }
    // No transition adds more than one model, or changes misses of earlier rounds than it begins
    // in.
    if (!run.models.empty()) CSL_RETURN_IF_ERROR(SaveModel(run.id, run.models.back()));
    if (before != nullptr && before->misses == run.misses) return OkStatus();
    const int first_round = before == nullptr ? 0 : before->round;
    CSL_RETURN_IF_ERROR(db_.Prepare("DELETE FROM misses WHERE run = ? AND round >= ?")
                            .Bind(run.id)
                            .Bind(std::int64_t{first_round})
                            .Run());
    for (const Miss& miss : run.misses) {
      if (miss.round >= first_round) CSL_RETURN_IF_ERROR(SaveMiss(run.id, miss));
    }
    return OkStatus();
  });
}

Status Store::SaveTask(const std::string& run_id, const TaskState& task) {
  return db_
      .Prepare(
          "INSERT INTO tasks (id, run, site, round, kind, status, reason, blob_digest, "
          "blob_bytes, train_examples, train_loss, train_seconds, update_norm, evaluation, steps, "
          "class_counts) "
          "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
          "ON CONFLICT (id) DO UPDATE SET status = excluded.status, reason = excluded.reason, "
          "blob_digest = excluded.blob_digest, blob_bytes = excluded.blob_bytes, "
          "train_examples = excluded.train_examples, train_loss = excluded.train_loss, "
          "train_seconds = excluded.train_seconds, update_norm = excluded.update_norm, "
          "evaluation = excluded.evaluation, steps = excluded.steps, "
          "class_counts = excluded.class_counts")
      .Bind(task.id)
      .Bind(run_id)
      .Bind(task.site)
      .Bind(std::int64_t{task.round})
      .Bind(static_cast<std::int64_t>(task.kind))
      .Bind(static_cast<std::int64_t>(task.status))
      .Bind(task.reason)
      .Bind(task.result.blob_digest)
      .Bind(ToSigned(task.result.blob_bytes))
      .Bind(ToSigned(task.result.train_examples))
      .Bind(task.result.train_loss)
      .Bind(task.result.train_seconds)
      .Bind(task.result.update_norm)
      .Bind(ToProto(task.result.evaluation).SerializeAsString())
      .Bind(ToSigned(task.result.steps))
      .Bind(fmt::format("{}", fmt::join(task.result.class_counts, " ")))
      .Run();
}

Status Store::SaveModel(const std::string& run_id, const ModelVersion& model) {
  return db_
      .Prepare(
          "INSERT OR IGNORE INTO models "
          "(run, round, digest, bytes, moments_digest, change_digest, change_bytes) "
          "VALUES (?, ?, ?, ?, ?, ?, ?)")
      .Bind(run_id)
      .Bind(std::int64_t{model.round})
      .Bind(model.digest)
      .Bind(ToSigned(model.bytes))
      .Bind(model.moments_digest)
      .Bind(model.change_digest)
      .Bind(ToSigned(model.change_bytes))
      .Run();
}

Status Store::SaveMiss(const std::string& run_id, const Miss& miss) {
  return db_.Prepare("INSERT INTO misses (run, round, site, reason) VALUES (?, ?, ?, ?)")
      .Bind(run_id)
      .Bind(std::int64_t{miss.round})
      .Bind(miss.site)
      .Bind(miss.reason)
      .Run();
}

StatusOr<std::vector<RunState>> Store::LoadRuns() {
  MutexLock lock(mu_);
  Statement row = db_.Prepare(kRunColumns);
  std::vector<RunState> runs;
  while (true) {
    CSL_ASSIGN_OR_RETURN(const bool more, row.Step());
    if (!more) return runs;
    CSL_ASSIGN_OR_RETURN(RunState run, ReadRunRow(row));
    CSL_ASSIGN_OR_RETURN(run.tasks, SelectTasks(run.id, run.round - 1, run.round));
    CSL_ASSIGN_OR_RETURN(run.models, SelectModels(run.id));
    CSL_ASSIGN_OR_RETURN(run.misses, SelectMisses(run.id));
    runs.push_back(std::move(run));
  }
}

StatusOr<std::vector<TaskState>> Store::LoadTasks(const std::string& run_id, int first_round,
                                                  int last_round) {
  MutexLock lock(mu_);
  return SelectTasks(run_id, first_round, last_round);
}

StatusOr<std::vector<TaskState>> Store::SelectTasks(const std::string& run_id, int first_round,
                                                    int last_round) {
  Statement row = db_.Prepare(kTaskColumns);
  row.Bind(run_id).Bind(std::int64_t{first_round}).Bind(std::int64_t{last_round});
  std::vector<TaskState> tasks;
  while (true) {
    CSL_ASSIGN_OR_RETURN(const bool more, row.Step());
    if (!more) return tasks;
    CSL_ASSIGN_OR_RETURN(tasks.emplace_back(), ReadTaskRow(row));
  }
}

StatusOr<std::vector<ModelVersion>> Store::SelectModels(const std::string& run_id) {
  Statement row = db_.Prepare(
      "SELECT round, digest, bytes, moments_digest, change_digest, change_bytes FROM models "
      "WHERE run = ? ORDER BY round");
  row.Bind(run_id);
  std::vector<ModelVersion> models;
  while (true) {
    CSL_ASSIGN_OR_RETURN(const bool more, row.Step());
    if (!more) return models;
    models.push_back({.round = static_cast<int>(row.Int(0)),
                      .digest = row.Text(1),
                      .bytes = static_cast<std::uint64_t>(row.Int(2)),
                      .moments_digest = row.Text(3),
                      .change_digest = row.Text(4),
                      .change_bytes = static_cast<std::uint64_t>(row.Int(5))});
  }
}

StatusOr<std::vector<Miss>> Store::SelectMisses(const std::string& run_id) {
  Statement row =
      db_.Prepare("SELECT round, site, reason FROM misses WHERE run = ? ORDER BY round, site");
  row.Bind(run_id);
  std::vector<Miss> misses;
  while (true) {
    CSL_ASSIGN_OR_RETURN(const bool more, row.Step());
    if (!more) return misses;
    misses.push_back(
        {.round = static_cast<int>(row.Int(0)), .site = row.Text(1), .reason = row.Text(2)});
  }
}

}  // namespace consilium
