#pragma once

// SQLite behind Status. One connection; callers hold the lock of whoever owns it.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/status.h"

struct sqlite3;
struct sqlite3_stmt;

namespace consilium {

// A prepared statement: bind in order, step, read columns. Values live until the next Step.
class Statement {
 public:
  Statement& Bind(std::int64_t value);
  Statement& Bind(double value);
  Statement& Bind(std::string_view value);  // stored as a blob where it is one

  // True while there is a row. Errors from binding and preparing come out here.
  StatusOr<bool> Step();
  // Steps a statement that gives no rows.
  Status Run();

  std::int64_t Int(int column) const;
  double Real(int column) const;
  std::string Text(int column) const;

 private:
  friend class Database;
  Statement(sqlite3* db, std::shared_ptr<sqlite3_stmt> statement, Status status)
      : db_(db), statement_(std::move(statement)), status_(std::move(status)) {}

  void Note(int code);

  sqlite3* db_;
  std::shared_ptr<sqlite3_stmt> statement_;
  Status status_;
  int bound_ = 0;
};

// A number of the file as one of an enumeration, whose last value is `last`.
template <typename Enum>
StatusOr<Enum> ToEnum(std::int64_t number, Enum last, std::string_view what) {
  if (number >= 0 && number <= static_cast<std::int64_t>(last)) return static_cast<Enum>(number);
  return DataLoss("database: {} has the unknown code {}", what, number);
}

class Database {
 public:
  // Opens or makes the file: write-ahead log, full sync (a commit survives a power cut), foreign
  // keys.
  static StatusOr<Database> Open(const std::filesystem::path& path);

  Statement Prepare(std::string_view sql);
  // One or more statements without values.
  Status Execute(const std::string& sql);

  // Runs f, which gives a Status, in a transaction: all of it or nothing.
  template <typename F>
  Status Transact(F&& f) {
    CSL_RETURN_IF_ERROR(Execute("BEGIN IMMEDIATE"));
    Status status = f();
    if (status.ok()) status = Execute("COMMIT");
    if (!status.ok()) (void)Execute("ROLLBACK");
    return status;
  }

 private:
  explicit Database(std::shared_ptr<sqlite3> db) : db_(std::move(db)) {}
  std::shared_ptr<sqlite3> db_;
};

}  // namespace consilium
