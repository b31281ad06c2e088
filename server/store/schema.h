#pragma once

#include <array>

namespace consilium {

// From an empty database to today's, one step a version; how many were taken is in user_version. A
// step that was released is never changed. Times are milliseconds since 1970. Portable SQL.
inline constexpr std::array<const char*, 8> kSchemaSteps = {
    R"sql(
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
)sql",
    R"sql(
ALTER TABLE runs ADD COLUMN attempt INTEGER NOT NULL DEFAULT 1;
ALTER TABLE runs ADD COLUMN pausing INTEGER NOT NULL DEFAULT 0;
CREATE TABLE misses (
  run TEXT NOT NULL REFERENCES runs(id),
  round INTEGER NOT NULL,
  site TEXT NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (run, round, site)
);
)sql",
    R"sql(
ALTER TABLE sites RENAME TO members;
ALTER TABLE members ADD COLUMN role INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tokens RENAME COLUMN site TO member;
ALTER TABLE tokens ADD COLUMN role INTEGER NOT NULL DEFAULT 0;
CREATE TABLE certificates (
  serial TEXT PRIMARY KEY,
  member TEXT NOT NULL REFERENCES members(name),
  issued INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  used INTEGER NOT NULL,
  ends INTEGER NOT NULL
);
CREATE INDEX certificates_by_member ON certificates(member);
INSERT INTO certificates (serial, member, issued, expires, used, ends)
  SELECT certificate_serial, name, joined, certificate_expires, last_seen > 0,
         CASE WHEN revoked = 1 THEN joined ELSE 0 END FROM members;
ALTER TABLE members DROP COLUMN certificate_serial;
ALTER TABLE members DROP COLUMN certificate_expires;
)sql",
    R"sql(
ALTER TABLE tasks ADD COLUMN update_norm REAL NOT NULL DEFAULT 0;
CREATE TABLE releases (
  id INTEGER PRIMARY KEY,
  channel TEXT NOT NULL,
  run TEXT NOT NULL REFERENCES runs(id),
  round INTEGER NOT NULL,
  digest TEXT NOT NULL,
  released_by TEXT NOT NULL,
  released INTEGER NOT NULL,
  withdrawn_by TEXT NOT NULL,
  withdrawn INTEGER NOT NULL
);
)sql",
    R"sql(
ALTER TABLE models ADD COLUMN moments_digest TEXT NOT NULL DEFAULT '';
ALTER TABLE tasks ADD COLUMN steps INTEGER NOT NULL DEFAULT 0;
)sql",
    R"sql(
ALTER TABLE tasks ADD COLUMN class_counts TEXT NOT NULL DEFAULT '';
)sql",
    R"sql(
ALTER TABLE runs ADD COLUMN follows INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN regional_round INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN regional_digest TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN regional_bytes INTEGER NOT NULL DEFAULT 0;
)sql",
    R"sql(
ALTER TABLE models ADD COLUMN change_digest TEXT NOT NULL DEFAULT '';
ALTER TABLE models ADD COLUMN change_bytes INTEGER NOT NULL DEFAULT 0;
)sql"};

}  // namespace consilium
