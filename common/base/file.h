#pragma once

// Files: bounded reads, writes that are whole or absent, and read-only mappings.
//
// Errors name the path and the system's reason: NOT_FOUND where the path does not exist,
// RESOURCE_EXHAUSTED where the disk is full, INTERNAL otherwise.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace consilium {

inline constexpr unsigned kPrivateMode = 0600;
inline constexpr unsigned kPublicMode = 0644;

std::span<const std::byte> AsBytes(std::string_view text);

// The whole file; INVALID_ARGUMENT if it is larger than max_bytes.
StatusOr<std::string> ReadFile(const std::filesystem::path& path, std::size_t max_bytes = 16 << 20);

// Puts the parts, one after another, at path: through a temporary file beside it that is synced and
// renamed, so that a reader or a crash sees the old file or the new one. mode is the new file's.
Status WriteFileAtomically(const std::filesystem::path& path,
                           std::span<const std::span<const std::byte>> parts,
                           unsigned mode = kPublicMode);
Status WriteFileAtomically(const std::filesystem::path& path, std::string_view text,
                           unsigned mode = kPublicMode);

// The end of the temporary file's name. One that is there while nobody writes is a crash's.
inline constexpr char kTemporaryExtension[] = ".tmp";

// Each of the two files gets the other's name, at once.
Status ExchangeFiles(const std::filesystem::path& a, const std::filesystem::path& b);

// Makes the folder and its parents.
Status MakeFolders(const std::filesystem::path& path);

// FAILED_PRECONDITION where the folder is another user's: what this process writes there could then
// not be read by the process that is to.
Status CheckOwner(const std::filesystem::path& path);

// Makes the entries of a folder durable: after a rename or unlink in it.
Status SyncFolder(const std::filesystem::path& path);

// The status for a failed system call: "what path: reason", with errno's code.
Status ErrnoStatus(int error, std::string_view what, const std::filesystem::path& path);

// Another program of this project: beside the one that runs, or in bin of its build tree.
std::filesystem::path ProgramCalled(std::string_view name);

// A whole file, mapped read-only. Movable; the bytes stay where they are for as long as it lives.
// The file must not be truncated meanwhile: blobs and caches are written once and never changed.
class MappedFile {
 public:
  static StatusOr<MappedFile> Open(const std::filesystem::path& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  MappedFile(const std::byte* data, std::size_t size) : data_(data), size_(size) {}

  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

// A file descriptor that closes itself.
class FileDescriptor {
 public:
  explicit FileDescriptor(int fd = -1) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  ~FileDescriptor();

  int get() const { return fd_; }

 private:
  int fd_;
};

// Keeps other processes that ask for the same out of a folder, until the descriptor is closed or
// the process ends. FAILED_PRECONDITION where another one holds it.
StatusOr<FileDescriptor> LockFolder(const std::filesystem::path& path);

// Writes all bytes at the descriptor's position; path is for the message alone.
Status WriteAll(int fd, std::span<const std::byte> bytes, const std::filesystem::path& path);
// The parts, one after another.
Status WriteAll(int fd, std::span<const std::span<const std::byte>> parts,
                const std::filesystem::path& path);

}  // namespace consilium
