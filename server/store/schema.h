#pragma once

namespace consilium {

// Kept in the database's user_version; a change of the schema raises it.
inline constexpr int kSchemaVersion = 1;

// Times are milliseconds since 1970. Portable SQL.
inline constexpr char kSchema[] = R"sql(
CREATE TABLE sites (
  name TEXT PRIMARY KEY,
  certificate_serial TEXT NOT NULL,
  revoked INTEGER NOT NULL,
  joined INTEGER NOT NULL,
  last_seen INTEGER NOT NULL,
  certificate_expires INTEGER NOT NULL
);
CREATE TABLE tokens (
  hash TEXT PRIMARY KEY,
  site TEXT NOT NULL,
  expires INTEGER NOT NULL,
  used INTEGER NOT NULL
);
CREATE TABLE runs (
  id TEXT PRIMARY KEY,
  plan BLOB NOT NULL,
  status INTEGER NOT NULL,
  reason TEXT NOT NULL,
  round INTEGER NOT NULL,
  initialisations INTEGER NOT NULL,
  deadline INTEGER NOT NULL,
  created INTEGER NOT NULL,
  ended INTEGER NOT NULL
);
CREATE TABLE tasks (
  id TEXT PRIMARY KEY,
  run TEXT NOT NULL REFERENCES runs(id),
  site TEXT NOT NULL,
  round INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  status INTEGER NOT NULL,
  reason TEXT NOT NULL,
  blob_digest TEXT NOT NULL,
  blob_bytes INTEGER NOT NULL,
  train_examples INTEGER NOT NULL,
  train_loss REAL NOT NULL,
  train_seconds REAL NOT NULL,
  evaluation BLOB NOT NULL
);
CREATE INDEX tasks_by_run ON tasks(run, round);
CREATE TABLE models (
  run TEXT NOT NULL REFERENCES runs(id),
  round INTEGER NOT NULL,
  digest TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  PRIMARY KEY (run, round)
);
)sql";

}  // namespace consilium
