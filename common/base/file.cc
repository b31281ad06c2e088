#include "common/base/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <system_error>
#include <vector>

namespace consilium {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostAtOnce = 1024;  // parts that one system call writes

// A name beside path that no other writer of this or another process uses.
fs::path TemporaryBeside(const fs::path& path) {
  static std::atomic<unsigned> counter = 0;
  return path.parent_path() / fmt::format(".{}.{}.{}{}", path.filename().string(), ::getpid(),
                                          counter++, kTemporaryExtension);
}

Status WriteAndSync(const fs::path& path, std::span<const std::span<const std::byte>> parts,
                    unsigned mode) {
  const FileDescriptor fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (fd.get() < 0) return ErrnoStatus(errno, "cannot write", path);
  CSL_RETURN_IF_ERROR(WriteAll(fd.get(), parts, path));
  if (::fsync(fd.get()) != 0) return ErrnoStatus(errno, "cannot sync", path);
  return OkStatus();
}

}  // namespace

std::span<const std::byte> AsBytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

Status ErrnoStatus(int error, std::string_view what, const fs::path& path) {
  const std::string message =
      fmt::format("{} {}: {}", what, path.string(), std::generic_category().message(error));
  if (error == ENOENT || error == ENOTDIR) return absl::NotFoundError(message);
  if (error == ENOSPC || error == EDQUOT) return absl::ResourceExhaustedError(message);
  return absl::InternalError(message);
}

StatusOr<std::string> ReadFile(const fs::path& path, std::size_t max_bytes) {
  const FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return ErrnoStatus(errno, "cannot read", path);
  std::string text;
  char buffer[1 << 16];
  while (true) {
    const ssize_t n = ::read(fd.get(), buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus(errno, "cannot read", path);
    if (n == 0) return text;
    if (text.size() + static_cast<std::size_t>(n) > max_bytes) {
      return InvalidArgument("{} is larger than {} bytes", path.string(), max_bytes);
    }
    text.append(buffer, static_cast<std::size_t>(n));
  }
}

Status WriteFileAtomically(const fs::path& path, std::span<const std::span<const std::byte>> parts,
                           unsigned mode) {
  const fs::path temporary = TemporaryBeside(path);
  if (Status status = WriteAndSync(temporary, parts, mode); !status.ok()) {
    ::unlink(temporary.c_str());
    return status;
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    const int error = errno;
    ::unlink(temporary.c_str());
    return ErrnoStatus(error, "cannot write", path);
  }
  return SyncFolder(path.parent_path());
}

Status WriteFileAtomically(const fs::path& path, std::string_view text, unsigned mode) {
  const std::span<const std::byte> part = AsBytes(text);
  return WriteFileAtomically(path, std::span(&part, 1), mode);
}

Status ExchangeFiles(const fs::path& a, const fs::path& b) {
  if (::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0) {
    return SyncFolder(a.parent_path());
  }
  return ErrnoStatus(errno, "cannot exchange", a);
}

Status MakeFolders(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return ErrnoStatus(error.value(), "cannot make folder", path);
  return OkStatus();
}

StatusOr<FileDescriptor> LockFolder(const fs::path& path) {
  const fs::path file = path / "lock";
  FileDescriptor fd(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kPrivateMode));
  if (fd.get() < 0) return ErrnoStatus(errno, "cannot lock", file);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
  if (errno != EWOULDBLOCK) return ErrnoStatus(errno, "cannot lock", file);
  return FailedPrecondition("{} is in use by another process", path.string());
}

Status CheckOwner(const fs::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return ErrnoStatus(errno, "cannot read", path);
  if (info.st_uid == ::geteuid()) return OkStatus();
  return FailedPrecondition("{} belongs to another user (uid {}): run this as that user",
                            path.string(), info.st_uid);
}

Status SyncFolder(const fs::path& path) {
  const fs::path folder = path.empty() ? fs::path(".") : path;
  const FileDescriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0 || ::fsync(fd.get()) != 0) return ErrnoStatus(errno, "cannot sync", folder);
  return OkStatus();
}

Status WriteAll(int fd, std::span<const std::byte> bytes, const fs::path& path) {
  return WriteAll(fd, std::span(&bytes, 1), path);
}

Status WriteAll(int fd, std::span<const std::span<const std::byte>> parts, const fs::path& path) {
  std::vector<iovec> left;
  for (const auto part : parts) {
    left.push_back({const_cast<std::byte*>(part.data()), part.size()});
  }
  for (std::span<iovec> rest(left); !rest.empty();) {
    const ssize_t n =
        ::writev(fd, rest.data(), static_cast<int>(std::min(rest.size(), kMostAtOnce)));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus(errno, "cannot write", path);
    auto written = static_cast<std::size_t>(n);
    while (!rest.empty() && written >= rest.front().iov_len) {
      written -= rest.front().iov_len;
      rest = rest.subspan(1);
    }
    if (rest.empty()) break;
    rest.front().iov_base = static_cast<std::byte*>(rest.front().iov_base) + written;
    rest.front().iov_len -= written;
  }
  return OkStatus();
}

StatusOr<MappedFile> MappedFile::Open(const fs::path& path) {
  const FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info {};
  if (fd.get() < 0 || ::fstat(fd.get(), &info) != 0) return ErrnoStatus(errno, "cannot read", path);
  if (!S_ISREG(info.st_mode)) return InvalidArgument("{} is not a file", path.string());
  const auto size = static_cast<std::size_t>(info.st_size);
  if (size == 0) return MappedFile(nullptr, 0);
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd.get(), 0);
  if (data == MAP_FAILED) return ErrnoStatus(errno, "cannot map", path);
  return MappedFile(static_cast<const std::byte*>(data), size);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) ::close(fd_);
}

std::filesystem::path ProgramCalled(std::string_view name) {
  std::error_code ignored;
  const auto folder = std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path();
  const auto beside = folder / name;
  return std::filesystem::exists(beside, ignored) ? beside : folder.parent_path() / "bin" / name;
}

}  // namespace consilium
