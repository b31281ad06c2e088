#include "common/audit/trail.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>

#include "common/crypto/digest.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::size_t kMaxLine = 1 << 20;
constexpr char kHeadExtension[] = ".head";
constexpr std::size_t kHeadBytes = 128;  // in one sector, padded

constexpr std::string_view kHashMember = ",\"hash\":\"";
constexpr std::size_t kHashBytes = 64;
// What stands behind the hashed part of a line: the hash, and the end of the object.
constexpr std::size_t kTailBytes = kHashMember.size() + kHashBytes + 2;

// A line without its newline: the entry, and behind its other members the hash of them.
std::string ToLine(const Json& entry, std::string* hash) {
  std::string text = entry.dump(-1, ' ', false, Json::error_handler_t::replace);
  *hash = Sha256Of(text);
  text.pop_back();
  return fmt::format("{}{}{}\"}}", text, kHashMember, *hash);
}

// The entry in a line, whose hash is right; nothing is said of its place in the chain.
StatusOr<Json> FromLine(std::string_view line) {
  const Status changed = DataLoss("the entry was changed");
  if (line.size() <= kTailBytes || !line.ends_with("\"}")) return changed;
  const std::string_view tail = line.substr(line.size() - kTailBytes);
  if (!tail.starts_with(kHashMember)) return changed;
  const std::string text = std::string(line.substr(0, line.size() - kTailBytes)) + "}";
  if (Sha256Of(text) != tail.substr(kHashMember.size(), kHashBytes)) return changed;
  Json entry = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  const bool whole = entry.is_object() && entry.contains("seq") &&
                     entry["seq"].is_number_unsigned() && entry.contains("previous") &&
                     entry["previous"].is_string();
  if (!whole) return changed;
  return entry;
}

TrailHead HeadOf(const Json& entry) {
  return {entry["seq"].get<std::uint64_t>(), entry["hash"].get<std::string>()};
}

fs::path HeadPath(const fs::path& path) { return path.string() + kHeadExtension; }

StatusOr<TrailHead> ReadHeadFile(const fs::path& trail) {
  const fs::path path = HeadPath(trail);
  CSL_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kHeadBytes));
  const Json head = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  const bool whole = head.is_object() && head.contains("entries") &&
                     head["entries"].is_number_unsigned() && head.contains("hash") &&
                     head["hash"].is_string() && IsDigest(head["hash"].get<std::string>());
  if (!whole) return DataLoss("{}: damaged", path.string());
  return TrailHead{head["entries"].get<std::uint64_t>(), head["hash"].get<std::string>()};
}

std::string ToHeadText(const TrailHead& head) {
  std::string text = Json{{"entries", head.entries}, {"hash", head.hash}}.dump();
  text.resize(kHeadBytes, ' ');
  return text;
}

// In the place of the one before; not synced.
Status WriteHeadFile(int fd, const fs::path& path, const TrailHead& head) {
  const std::string text = ToHeadText(head);
  if (::pwrite(fd, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size())) {
    return OkStatus();
  }
  return ErrnoStatus(errno, "cannot write", path);
}

StatusOr<FileDescriptor> OpenForAppend(const fs::path& path) {
  FileDescriptor fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kPrivateMode));
  if (fd.get() < 0) return ErrnoStatus(errno, "cannot open", path);
  return fd;
}

// Other processes wait while it lives.
class FileLock {
 public:
  explicit FileLock(int fd) : fd_(fd) {
    while (::flock(fd_, LOCK_EX) != 0 && errno == EINTR) {
    }
  }
  ~FileLock() { ::flock(fd_, LOCK_UN); }
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  const int fd_;
};

}  // namespace

std::string FormatAuditTime(TimePoint time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", seconds, (time - seconds).count());
}

StatusOr<std::unique_ptr<AuditTrail>> AuditTrail::Open(const fs::path& path, const Clock& clock) {
  const bool is_new = !fs::exists(path);
  CSL_ASSIGN_OR_RETURN(FileDescriptor file, OpenForAppend(path));
  const FileLock others(file.get());
  CSL_ASSIGN_OR_RETURN(FileDescriptor head_file, OpenForAppend(HeadPath(path)));
  if (is_new) {
    CSL_RETURN_IF_ERROR(WriteHeadFile(head_file.get(), HeadPath(path), {}));
    if (::fsync(head_file.get()) != 0) return ErrnoStatus(errno, "cannot sync", HeadPath(path));
    CSL_RETURN_IF_ERROR(SyncFolder(path.parent_path()));
  }
  std::unique_ptr<AuditTrail> trail(
      new AuditTrail(path, clock, std::move(file), std::move(head_file)));
  MutexLock lock(trail->mu_);
  CSL_RETURN_IF_ERROR(trail->CatchUp());
  return trail;
}

Status AuditTrail::CatchUp() {
  struct stat info {};
  if (::fstat(file_.get(), &info) != 0) return ErrnoStatus(errno, "cannot read", path_);
  if (info.st_size == size_) return OkStatus();
  // The last line lies in the last kMaxLine bytes, and a torn one behind it as well.
  const std::int64_t window = std::min<std::int64_t>(info.st_size, 2 * kMaxLine);
  const std::int64_t begin = info.st_size - window;
  std::string text(static_cast<std::size_t>(window), '\0');
  if (::pread(file_.get(), text.data(), text.size(), begin) != static_cast<ssize_t>(text.size())) {
    return ErrnoStatus(errno, "cannot read", path_);
  }
  const std::size_t end = text.rfind('\n');
  const std::size_t whole = end == std::string::npos ? 0 : end + 1;
  if (whole < text.size()) {  // what was never acknowledged
    if (::ftruncate(file_.get(), begin + static_cast<std::int64_t>(whole)) != 0) {
      return ErrnoStatus(errno, "cannot mend", path_);
    }
  }
  head_ = {};
  if (whole > 0) {
    const std::size_t before = text.rfind('\n', end - 1);
    const std::size_t first = end == 0 || before == std::string::npos ? 0 : before + 1;
    const auto entry = FromLine(std::string_view(text).substr(first, end - first));
    if (!entry.ok()) {
      return DataLoss(
          "{}: its last entry was changed; keep the file as evidence, and move it away to begin "
          "another",
          path_.string());
    }
    head_ = HeadOf(*entry);
  }
  size_ = begin + static_cast<std::int64_t>(whole);
  return OkStatus();
}

Status AuditTrail::Append(std::string_view event, const AuditFields& fields) {
  return Append(std::vector<AuditEntry>{{std::string(event), fields}});
}

Status AuditTrail::Append(const std::vector<AuditEntry>& entries) {
  if (entries.empty()) return OkStatus();
  MutexLock lock(mu_);
  const FileLock others(file_.get());
  CSL_RETURN_IF_ERROR(CatchUp());
  TrailHead head = head_;
  std::string lines;
  for (const AuditEntry& entry : entries) {
    Json json = {
        {"seq", ++head.entries}, {"time", FormatAuditTime(clock_.Now())}, {"event", entry.event}};
    json.update(entry.fields);
    json["previous"] = head.hash;
    const std::string line = ToLine(json, &head.hash) + "\n";
    if (line.size() > kMaxLine) return InvalidArgument("an audit entry of {} bytes", line.size());
    lines += line;
  }
  if (::lseek(file_.get(), size_, SEEK_SET) < 0) return ErrnoStatus(errno, "cannot write", path_);
  Status written = WriteAll(file_.get(), AsBytes(lines), path_);
  if (written.ok() && ::fdatasync(file_.get()) != 0) {
    written = ErrnoStatus(errno, "cannot sync", path_);
  }
  if (!written.ok()) {
    if (::ftruncate(file_.get(), size_) != 0) size_ = -1;  // the next one looks again
    return written;
  }
  size_ += static_cast<std::int64_t>(lines.size());
  head_ = head;
  // After a power cut it may be behind the trail, and is never before it.
  return WriteHeadFile(head_file_.get(), HeadPath(path_), head_);
}

TrailHead AuditTrail::head() const {
  MutexLock lock(mu_);
  return head_;
}

StatusOr<Json> TrailChecker::Next(std::string_view line) {
  CSL_ASSIGN_OR_RETURN(Json entry, FromLine(line));
  const TrailHead next = HeadOf(entry);
  if (next.entries != head_.entries + 1 || entry["previous"] != head_.hash) {
    return DataLoss("entry {} stands here, not the one that followed entry {}", next.entries,
                    head_.entries);
  }
  head_ = next;
  return entry;
}

StatusOr<TrailHead> WriteTrailCopy(const fs::path& path, const std::vector<std::string>& lines) {
  TrailChecker checker;
  std::string text;
  for (const std::string& line : lines) {
    const Status checked = checker.Next(line).status();
    if (!checked.ok()) {
      return Annotate(checked, fmt::format("line {}", checker.head().entries + 1));
    }
    text += line + "\n";
  }
  CSL_RETURN_IF_ERROR(
      WriteFileAtomically(HeadPath(path), ToHeadText(checker.head()), kPrivateMode));
  CSL_RETURN_IF_ERROR(WriteFileAtomically(path, text, kPrivateMode));
  return checker.head();
}

StatusOr<TrailHead> VerifyTrail(const fs::path& path,
                                const std::function<void(const Json& entry)>& visit) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return NotFound("{}: no such trail", path.string());
  CSL_ASSIGN_OR_RETURN(const TrailHead known, ReadHeadFile(path));
  TrailChecker checker;
  bool known_was_passed = known.entries == 0;
  std::string line;
  const auto place = [&] {
    return fmt::format("{} line {}", path.string(), checker.head().entries + 1);
  };
  while (std::getline(file, line)) {
    if (file.eof()) return DataLoss("{}: the line is not finished", place());
    const std::string here = place();
    const auto entry = checker.Next(line);
    if (!entry.ok()) return Annotate(entry.status(), here);
    if (known.entries == checker.head().entries) {
      if (known.hash != checker.head().hash) return DataLoss("{}: the entry was replaced", here);
      known_was_passed = true;
    }
    if (visit) visit(*entry);
  }
  if (!known_was_passed) {
    return DataLoss("{}: the trail ends here, and had {} entries", place(), known.entries);
  }
  return checker.head();
}

StatusOr<std::vector<std::string>> ReadTrailLines(const fs::path& path, std::uint64_t after_entry,
                                                  std::size_t max_bytes) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return NotFound("{}: no such trail", path.string());
  std::vector<std::string> lines;
  std::size_t bytes = 0;
  std::string line;
  for (std::uint64_t entry = 1; std::getline(file, line) && !file.eof(); ++entry) {
    if (entry <= after_entry) continue;
    bytes += line.size();
    if (!lines.empty() && bytes > max_bytes) break;
    lines.push_back(line);
  }
  return lines;
}

}  // namespace consilium
