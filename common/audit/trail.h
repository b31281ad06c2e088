#pragma once

// An audit trail: a file of JSON lines that is only ever added to. Each entry bears the hash of the
// one before it, so that no line can be changed, removed or moved without a trace in all after it.
// The format is described in common/README.md.
//
//   {"seq":2,"time":"2026-11-25T10:00:00.250Z","event":"joined","member":"north",
//    "previous":"<hash of entry 1>","hash":"<SHA-256>"}
//
// What a trail's last entries were is known beside it: in FILE.head, and at whoever was given a
// head of it.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mutex.h"
#include "common/base/status.h"

namespace consilium {

// In the folder of a coordinator or a hospital.
inline constexpr char kTrailFile[] = "audit.jsonl";

// What happened, beside "seq", "time", "event", "previous" and "hash", which every entry has.
using AuditFields = nlohmann::ordered_json;

struct AuditEntry {
  std::string event;
  AuditFields fields = AuditFields::object();
};

// How far a trail has come: its last entry. The head of an empty one has 0 entries.
struct TrailHead {
  std::uint64_t entries = 0;
  std::string hash = std::string(64, '0');

  bool operator==(const TrailHead&) const = default;
};

// Thread-safe, and safe between processes that add to the same file.
class AuditTrail {
 public:
  // Makes the file where there is none. What a crash left of an unfinished line is removed.
  // DATA_LOSS where the last entry is not what was written: nothing is added to such a trail.
  static StatusOr<std::unique_ptr<AuditTrail>> Open(const std::filesystem::path& path,
                                                    const Clock& clock);

  // Durable when it returns. RESOURCE_EXHAUSTED where the disk is full; the trail is then as
  // before.
  Status Append(std::string_view event, const AuditFields& fields = AuditFields::object());
  // The same of entries that belong together, with one sync for all.
  Status Append(const std::vector<AuditEntry>& entries);

  TrailHead head() const;

 private:
  AuditTrail(std::filesystem::path path, const Clock& clock, FileDescriptor file,
             FileDescriptor head_file)
      : path_(std::move(path)),
        clock_(clock),
        file_(std::move(file)),
        head_file_(std::move(head_file)) {}

  // Reads the last entry where another process may have added one.
  Status CatchUp() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::filesystem::path path_;
  const Clock& clock_;
  const FileDescriptor file_;
  const FileDescriptor head_file_;
  mutable Mutex mu_;
  std::int64_t size_ ABSL_GUARDED_BY(mu_) = -1;  // of the file, as this process knows it
  TrailHead head_ ABSL_GUARDED_BY(mu_);
};

// Checks a trail's lines one after another, from its first.
class TrailChecker {
 public:
  // The entry in the next line, without its newline. DATA_LOSS where it was changed, or is not the
  // one that followed; the lines before it are then still good.
  StatusOr<nlohmann::ordered_json> Next(std::string_view line);
  const TrailHead& head() const { return head_; }

 private:
  TrailHead head_;
};

// Writes a copy of a trail that was read elsewhere, with its head beside it, once all of it is
// found to be whole.
StatusOr<TrailHead> WriteTrailCopy(const std::filesystem::path& path,
                                   const std::vector<std::string>& lines);

// Reads a trail from its beginning, checks the chain, and gives each entry to `visit`, which may be
// empty. DATA_LOSS names the first line that is not what was written there, a cut at the end where
// FILE.head tells of it. Gives the head.
StatusOr<TrailHead> VerifyTrail(
    const std::filesystem::path& path,
    const std::function<void(const nlohmann::ordered_json& entry)>& visit = {});

// The lines behind an entry (0: all), as they stand in the file, of at most so many bytes in all
// but at least one where there is one. Nothing is checked.
StatusOr<std::vector<std::string>> ReadTrailLines(const std::filesystem::path& path,
                                                  std::uint64_t after_entry, std::size_t max_bytes);

// "2026-11-25T10:00:00.250Z".
std::string FormatAuditTime(TimePoint time);

}  // namespace consilium
