#pragma once

// Files named by their SHA-256 in blobs/, and unfinished uploads in incoming/. A blob that is
// there is whole, durable and has its digest; it is never changed.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "common/base/file.h"
#include "common/base/status.h"
#include "common/crypto/digest.h"

namespace consilium {

// One blob on its way in. Bytes are hashed as they are written. Not thread-safe.
class BlobUpload {
 public:
  // Bytes held so far.
  std::uint64_t size() const { return size_; }

  Status Append(std::span<const std::byte> bytes);
  // Makes the bytes a blob. DATA_LOSS, and the bytes are dropped, if they do not have the digest.
  Status Finish() &&;

 private:
  friend class BlobStore;
  BlobUpload(std::filesystem::path path, FileDescriptor fd)
      : path_(std::move(path)), fd_(std::move(fd)) {}

  std::filesystem::path path_;
  FileDescriptor fd_;
  std::filesystem::path final_path_;
  std::string digest_;
  Sha256 hash_;
  std::uint64_t size_ = 0;
  std::uint64_t flushed_ = 0;
};

// Thread-safe: its state is the file system's.
class BlobStore {
 public:
  static StatusOr<BlobStore> Open(const std::filesystem::path& folder);

  bool Has(const std::string& digest) const;
  // Bytes that `owner` has sent so far of a blob not yet whole.
  std::uint64_t HeldBytes(const std::string& digest, const std::string& owner) const;
  // NOT_FOUND unless it is there.
  StatusOr<std::shared_ptr<const MappedFile>> Map(const std::string& digest) const;

  // Goes on with what `owner` has sent of the blob, or begins. One upload of a blob and owner at a
  // time.
  StatusOr<BlobUpload> Continue(const std::string& digest, const std::string& owner) const;
  // A blob made here, whose digest is known at its end.
  class Writer;
  StatusOr<Writer> Create() const;

  void Remove(const std::string& digest) const;

 private:
  explicit BlobStore(std::filesystem::path folder) : folder_(std::move(folder)) {}

  std::filesystem::path BlobPath(const std::string& digest) const;
  std::filesystem::path PartPath(const std::string& digest, const std::string& owner) const;

  std::filesystem::path folder_;
};

class BlobStore::Writer {
 public:
  Status Append(std::span<const std::byte> bytes) { return upload_.Append(bytes); }
  // Gives the digest.
  StatusOr<std::string> Finish() &&;

 private:
  friend class BlobStore;
  Writer(const BlobStore& store, BlobUpload upload) : store_(store), upload_(std::move(upload)) {}

  BlobStore store_;
  BlobUpload upload_;
};

}  // namespace consilium
