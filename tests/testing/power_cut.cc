// Preloaded into a program under test: ends it at its Nth durable operation, as kill -9 or a power
// cut would. A durable operation is a call that changes a file or a folder below one folder, or
// that asks for a change to be kept: write, truncate, create, rename, remove, sync.
//
//   POWER_CUT_UNDER   the folder
//   POWER_CUT_AT      N, 1 is the first operation; absent: they are counted alone
//   POWER_CUT_HOW     before: the operation does not happen
//                     half: a write leaves its first half; anything else is as before
//                     after: it happens and its caller never learns of it
//                     power: as before, and all that was not synced is undone: the worst that a
//                     disk may do to a program whose machine loses power
//   POWER_CUT_COUNT   a file that holds the number of operations so far, as 8 bytes
//
// Undoing goes backwards through a log: the bytes that a write changed, until their file is synced;
// a name that was created, moved or removed, until its folder is. Writes through a mapping are not
// seen: SQLite's -shm file is the only one, and SQLite makes it anew from what is durable.

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

namespace {

// The C library's own function behind one of this file's.
template <typename F>
F Real(F*, const char* name) {
  return reinterpret_cast<F>(::dlsym(RTLD_NEXT, name));
}
#define REAL(function) Real(static_cast<decltype(&::function)*>(nullptr), #function)

std::string Setting(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string PathOf(int fd) {
  char path[4096];
  const ssize_t size =
      ::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), path, sizeof path);
  return size <= 0 ? "" : std::string(path, static_cast<std::size_t>(size));
}

std::string AbsolutePath(const char* path) {
  char folder[4096];
  if (path[0] == '/' || ::getcwd(folder, sizeof folder) == nullptr) return path;
  return std::string(folder) + "/" + path;
}

std::string FolderOf(const std::string& path) { return path.substr(0, path.rfind('/')); }

ino_t InodeOf(int fd) {
  struct stat info {};
  return ::fstat(fd, &info) == 0 ? info.st_ino : 0;
}

ino_t InodeOf(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? info.st_ino : 0;
}

// One change that is not durable yet.
struct Change {
  ino_t synced_by = 0;           // the file or folder whose sync makes it durable
  std::function<void()> undo;    // takes it back
  std::function<void()> settle;  // forgets how to
};

class PowerCut {
 public:
  static PowerCut& Get() {
    static PowerCut& cut = *new PowerCut();  // never destroyed: others' destructors still write
    return cut;
  }

  // The folder itself, too: what was created in it is there once it is synced.
  bool Watches(const std::string& path) const {
    return !under_.empty() && path.starts_with(under_) &&
           (path.size() == under_.size() || path[under_.size()] == '/');
  }

  // Performs an operation, or dies at it. `describe` says what it will change; `half` is what a
  // torn one leaves.
  int Perform(
      const std::function<int()>& operation, const std::function<Change()>& describe,
      const std::function<void()>& half = [] {}) {
    const std::lock_guard lock(mu_);
    CutHere(half);
    Change change = describe();
    const int result = operation();
    if (result >= 0) changes_.push_back(std::move(change));
    DieIf("after");
    return result;
  }

  // A sync of the file or folder.
  int Sync(const std::function<int()>& operation, ino_t inode) {
    const std::lock_guard lock(mu_);
    CutHere([] {});
    const int result = operation();
    std::erase_if(changes_, [&](const Change& change) {
      if (change.synced_by != inode) return false;
      change.settle();
      return true;
    });
    DieIf("after");
    return result;
  }

 private:
  PowerCut()
      : under_(Setting("POWER_CUT_UNDER")),
        how_(Setting("POWER_CUT_HOW")),
        at_(std::strtoull(Setting("POWER_CUT_AT").c_str(), nullptr, 10)) {
    const std::string path = Setting("POWER_CUT_COUNT");
    if (path.empty()) return;
    const int fd = REAL(open)(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || REAL(ftruncate)(fd, sizeof *counter_) != 0) return;
    void* mapped = ::mmap(nullptr, sizeof *counter_, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped != MAP_FAILED) counter_ = static_cast<std::uint64_t*>(mapped);
    ::close(fd);
  }

  void CutHere(const std::function<void()>& half) {
    ++count_;
    if (counter_ != nullptr) *counter_ = count_;
    if (count_ == at_ && how_ == "half") half();
    if (count_ == at_ && how_ == "power") {
      for (auto change = changes_.rbegin(); change != changes_.rend(); ++change) change->undo();
    }
    if (how_ != "after") DieIf(how_);
  }
  void DieIf(const std::string& how) {
    if (count_ != at_ || how_ != how) return;
    ::kill(::getpid(), SIGKILL);
    for (;;) ::pause();
  }

  const std::string under_;
  const std::string how_;
  const std::uint64_t at_;
  std::uint64_t* counter_ = nullptr;
  std::mutex mu_;  // held at death, so that nothing happens after the cut
  std::uint64_t count_ = 0;
  std::vector<Change> changes_;
};

// The bytes of an open file from an offset on, and its size.
Change ChangeOfBytes(int fd, off_t offset, std::size_t size) {
  // Opened again: with the caller's flags (append, write only) nothing could be put back.
  const int file = REAL(open)(("/proc/self/fd/" + std::to_string(fd)).c_str(), O_RDWR | O_CLOEXEC);
  struct stat before {};
  ::fstat(file, &before);
  std::string bytes(size, '\0');
  const ssize_t held = ::pread(file, bytes.data(), size, offset);
  bytes.resize(held < 0 ? 0 : static_cast<std::size_t>(held));
  return {before.st_ino,
          [=] {
            (void)!REAL(pwrite)(file, bytes.data(), bytes.size(), offset);
            (void)!REAL(ftruncate)(file, before.st_size);
          },
          [file] { ::close(file); }};
}

off_t EndOf(int fd) {
  struct stat info {};
  ::fstat(fd, &info);
  return info.st_size;
}

off_t PositionOf(int fd) {
  return (::fcntl(fd, F_GETFL) & O_APPEND) != 0 ? EndOf(fd) : ::lseek(fd, 0, SEEK_CUR);
}

// What a name stands for. A second link, beside the watched folder, keeps the file meanwhile.
Change ChangeOfName(const std::string& path) {
  static int kept = 0;
  const std::string link = Setting("POWER_CUT_UNDER") + ".kept-" + std::to_string(::getpid()) +
                           "-" + std::to_string(++kept);
  const bool existed = ::link(path.c_str(), link.c_str()) == 0;
  return {InodeOf(FolderOf(path)),
          [=] {
            if (existed) {
              REAL(rename)(link.c_str(), path.c_str());
            } else {
              REAL(unlink)(path.c_str());
            }
          },
          [=] {
            if (existed) REAL(unlink)(link.c_str());
          }};
}

int Open(const char* name, int flags, mode_t mode) {
  const auto open_it = [&] { return REAL(open)(name, flags, mode); };
  const std::string path = AbsolutePath(name);
  const bool creates = (flags & O_CREAT) != 0 && ::access(path.c_str(), F_OK) != 0;
  if (!creates || !PowerCut::Get().Watches(path)) return open_it();
  return PowerCut::Get().Perform(open_it, [&] { return ChangeOfName(path); });
}

ssize_t WriteAt(int fd, std::size_t size, off_t offset,
                const std::function<ssize_t(std::size_t)>& write_it) {
  if (!PowerCut::Get().Watches(PathOf(fd))) return write_it(size);
  ssize_t written = 0;
  PowerCut::Get().Perform([&] { return (written = write_it(size)) < 0 ? -1 : 0; },
                          [&] { return ChangeOfBytes(fd, offset, size); },
                          [&] { write_it(size / 2); });
  return written;
}

int Remove(const char* name) {
  const auto remove_it = [&] { return REAL(unlink)(name); };
  const std::string path = AbsolutePath(name);
  if (!PowerCut::Get().Watches(path)) return remove_it();
  return PowerCut::Get().Perform(remove_it, [&] { return ChangeOfName(path); });
}

int Truncate(int fd, off_t size) {
  const auto truncate_it = [&] { return REAL(ftruncate)(fd, size); };
  if (!PowerCut::Get().Watches(PathOf(fd))) return truncate_it();
  const off_t end = EndOf(fd);
  return PowerCut::Get().Perform(truncate_it, [&] {
    return ChangeOfBytes(fd, size, end > size ? static_cast<std::size_t>(end - size) : 0);
  });
}

int Sync(int fd, const std::function<int()>& sync_it) {
  if (!PowerCut::Get().Watches(PathOf(fd))) return sync_it();
  return PowerCut::Get().Sync(sync_it, InodeOf(fd));
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return Open(path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return Open(path, flags, mode);
}
ssize_t write(int fd, const void* data, size_t size) {
  return WriteAt(fd, size, PositionOf(fd),
                 [&](std::size_t part) { return REAL(write)(fd, data, part); });
}
ssize_t writev(int fd, const iovec* parts, int count) {
  std::string data;
  for (int i = 0; i < count; ++i) {
    data.append(static_cast<const char*>(parts[i].iov_base), parts[i].iov_len);
  }
  return write(fd, data.data(), data.size());
}
ssize_t pwrite64(int fd, const void* data, size_t size, off64_t offset) {
  return WriteAt(fd, size, offset,
                 [&](std::size_t part) { return REAL(pwrite)(fd, data, part, offset); });
}
ssize_t pwrite(int fd, const void* data, size_t size, off_t offset) {
  return pwrite64(fd, data, size, offset);
}
int ftruncate64(int fd, off64_t size) noexcept { return Truncate(fd, size); }
int ftruncate(int fd, off_t size) noexcept { return Truncate(fd, size); }
int fsync(int fd) {
  return Sync(fd, [&] { return REAL(fsync)(fd); });
}
int fdatasync(int fd) {
  return Sync(fd, [&] { return REAL(fdatasync)(fd); });
}
int rename(const char* from, const char* to) noexcept {
  const auto rename_it = [&] { return REAL(rename)(from, to); };
  const std::string source = AbsolutePath(from);
  const std::string target = AbsolutePath(to);
  if (!PowerCut::Get().Watches(target)) return rename_it();
  return PowerCut::Get().Perform(rename_it, [&] {
    Change old_target = ChangeOfName(target);
    Change old_source = ChangeOfName(source);
    return Change{old_target.synced_by,
                  [=] {
                    old_target.undo();
                    old_source.undo();
                  },
                  [=] {
                    old_target.settle();
                    old_source.settle();
                  }};
  });
}
int unlink(const char* path) noexcept { return Remove(path); }
int remove(const char* path) noexcept { return Remove(path); }

}  // extern "C"
