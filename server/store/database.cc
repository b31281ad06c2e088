#include "server/store/database.h"

#include <sqlite3.h>

namespace consilium {
namespace {

Status SqliteStatus(sqlite3* db, std::string_view what) {
  const int code = sqlite3_errcode(db);
  const std::string message = fmt::format("database: {}: {}", what, sqlite3_errmsg(db));
  if (code == SQLITE_FULL) return absl::ResourceExhaustedError(message);
  if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB) return absl::DataLossError(message);
  if (code == SQLITE_CONSTRAINT) return absl::AlreadyExistsError(message);
  return absl::InternalError(message);
}

}  // namespace

void Statement::Note(int code) {
  if (code != SQLITE_OK && status_.ok()) status_ = SqliteStatus(db_, "bind");
}

Statement& Statement::Bind(std::int64_t value) {
  Note(sqlite3_bind_int64(statement_.get(), ++bound_, value));
  return *this;
}

Statement& Statement::Bind(double value) {
  Note(sqlite3_bind_double(statement_.get(), ++bound_, value));
  return *this;
}

Statement& Statement::Bind(std::string_view value) {
  // A null pointer would bind NULL; every text column is NOT NULL.
  const char* data = value.empty() ? "" : value.data();
  Note(sqlite3_bind_text64(statement_.get(), ++bound_, data, value.size(), SQLITE_TRANSIENT,
                           SQLITE_UTF8));
  return *this;
}

StatusOr<bool> Statement::Step() {
  CSL_RETURN_IF_ERROR(status_);
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return SqliteStatus(db_, sqlite3_sql(statement_.get()));
}

Status Statement::Run() { return Step().status(); }

std::int64_t Statement::Int(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

double Statement::Real(int column) const { return sqlite3_column_double(statement_.get(), column); }

std::string Statement::Text(int column) const {
  const void* data = sqlite3_column_blob(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  return {static_cast<const char*>(data), static_cast<std::size_t>(size)};
}

StatusOr<Database> Database::Open(const std::filesystem::path& path) {
  sqlite3* raw = nullptr;
  const int code =
      sqlite3_open_v2(path.c_str(), &raw,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  Database database(std::shared_ptr<sqlite3>(raw, sqlite3_close_v2));
  if (code != SQLITE_OK) return SqliteStatus(raw, path.string());
  sqlite3_busy_timeout(raw, 5000);
  CSL_RETURN_IF_ERROR(database.Execute(
      "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON"));
  return database;
}

Statement Database::Prepare(std::string_view sql) {
  sqlite3_stmt* raw = nullptr;
  const int code =
      sqlite3_prepare_v2(db_.get(), sql.data(), static_cast<int>(sql.size()), &raw, nullptr);
  return {db_.get(),
          {raw, sqlite3_finalize},
          code == SQLITE_OK ? OkStatus() : SqliteStatus(db_.get(), sql)};
}

Status Database::Execute(const std::string& sql) {
  if (sqlite3_exec(db_.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
    return SqliteStatus(db_.get(), sql);
  }
  return OkStatus();
}

}  // namespace consilium
