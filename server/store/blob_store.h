#pragma once

// Files named by their SHA-256 in blobs/, and what is on its way there in incoming/. A blob was
// whole and had its digest when it came there, and is never changed.
//
// An upload stays in incoming/ when it is whole: whoever asked for it looks at it there, and keeps
// it or drops it.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/base/file.h"
#include "common/base/mutex.h"
#include "common/base/status.h"
#include "common/crypto/digest.h"

namespace consilium {

// How well a blob is kept.
enum class Durability : std::uint8_t {
  // On the disk: whatever happens to the machine.
  kSynced,
  // Where the system has it, which writes it to the disk within half a minute or so: a process that
  // dies loses nothing, a machine that loses power may. For what can be had again.
  kCached,
};

// What this process hashed a moment ago. Thread-safe.
class HashedLately {
 public:
  void Note(const std::string& digest);
  bool Has(const std::string& digest) const;

 private:
  mutable Mutex mu_;
  std::map<std::string, std::chrono::steady_clock::time_point> noted_ ABSL_GUARDED_BY(mu_);
};

// One upload on its way in. Bytes are hashed as they are written. Not thread-safe.
class BlobUpload {
 public:
  // Bytes held so far.
  std::uint64_t size() const { return size_; }

  Status Append(std::span<const std::byte> bytes) { return Append(std::span(&bytes, 1)); }
  Status Append(std::span<const std::span<const std::byte>> pieces);
  // Makes the upload whole. DATA_LOSS, and the bytes are dropped, if they do not have the digest.
  Status Finish() &&;

 private:
  friend class BlobStore;
  BlobUpload(std::filesystem::path path, FileDescriptor fd, Durability durability,
             std::shared_ptr<HashedLately> hashed)
      : path_(std::move(path)),
        fd_(std::move(fd)),
        durability_(durability),
        hashed_(std::move(hashed)) {}

  std::filesystem::path path_;
  FileDescriptor fd_;
  Durability durability_;
  std::shared_ptr<HashedLately> hashed_;
  std::filesystem::path final_path_;
  std::string digest_;
  Sha256 hash_;
  std::uint64_t size_ = 0;
  std::uint64_t flushed_ = 0;
};

// Thread-safe: its state is the file system's, and copies are of the same store. An owner is
// whoever uploads, or what for: lower-case letters, digits, '-' and '.'.
class BlobStore {
 public:
  static StatusOr<BlobStore> Open(const std::filesystem::path& folder);

  // A file of the store.
  struct Entry {
    std::string file;
    std::string owner;            // of an upload; empty for a blob, and for one that is being made
    std::chrono::seconds age{0};  // since it was last written
  };

  bool Has(const std::string& digest) const;
  // NOT_FOUND unless it is there.
  StatusOr<std::shared_ptr<const MappedFile>> Map(const std::string& digest) const;
  // Whether a blob, or where there is none `owner`'s whole upload, is there and its bytes are those
  // of its digest, which a power cut, or a bit that flipped on the disk, would change; a part of
  // the disk that cannot be read counts so, too. What this process hashed within the last minute is
  // not hashed again: it is read from the same memory, unless that was so short meanwhile that the
  // system took it back. An error says nothing of the bytes.
  StatusOr<bool> IsSound(const std::string& digest, const std::string& owner = "") const;
  void Remove(const std::string& digest) const;
  // Every blob, in no order.
  StatusOr<std::vector<Entry>> List() const;

  // What is there of `owner`'s upload.
  struct Held {
    std::uint64_t bytes = 0;
    bool whole = false;
  };
  Held HeldOf(const std::string& digest, const std::string& owner) const;
  // Goes on with `owner`'s upload, or begins. One of a blob and owner at a time. `on_held` is
  // called with the bytes that are there.
  using OnHeld = std::function<void(std::span<const std::byte>)>;
  StatusOr<BlobUpload> Continue(const std::string& digest, const std::string& owner,
                                const OnHeld& on_held = {}) const;
  // `owner`'s whole upload. NOT_FOUND unless it is there.
  StatusOr<std::shared_ptr<const MappedFile>> MapUpload(const std::string& digest,
                                                        const std::string& owner) const;
  // Where `owner`'s whole upload lies; whoever puts a file there answers for its digest.
  std::filesystem::path UploadPath(const std::string& digest, const std::string& owner) const;
  // Makes a whole upload a blob. OK where the blob is there already, which is then kept as well as
  // this asks for.
  Status Keep(const std::string& digest, const std::string& owner, Durability durability) const;
  // Drops what is there of the owner's uploads of other blobs: one counts, the newest.
  void DropOthers(const std::string& digest, const std::string& owner) const;
  // Drops what is there of an upload.
  void Drop(const std::string& digest, const std::string& owner) const;

  // Keeps a copy of an upload or blob that was refused in quarantine/OWNER.safetensors, or .update
  // where it is encoded, with the reason beside it, for people to look at: the newest kMaxSetAside
  // of them. What fails is left.
  static constexpr std::size_t kMaxSetAside = 16;
  void SetAside(const std::string& digest, const std::string& owner,
                const std::string& reason) const;

  // A blob made here, whose digest is known at its end.
  class Writer;
  StatusOr<Writer> Create(Durability durability = Durability::kSynced) const;

  // Uploads, whole or not, and blobs that are being made.
  StatusOr<std::vector<Entry>> ListIncoming() const;
  void RemoveIncoming(const std::string& file) const;

 private:
  explicit BlobStore(std::filesystem::path folder) : folder_(std::move(folder)) {}

  std::filesystem::path BlobPath(const std::string& digest) const;
  std::filesystem::path PartPath(const std::string& digest, const std::string& owner) const;

  std::filesystem::path folder_;
  std::shared_ptr<HashedLately> hashed_ = std::make_shared<HashedLately>();
};

// What was not finished is removed with the object.
class BlobStore::Writer {
 public:
  Writer(Writer&& other) noexcept;
  ~Writer();
  Status Append(std::span<const std::byte> bytes) { return upload_.Append(bytes); }
  // What was written so far, whatever becomes of it.
  StatusOr<MappedFile> Map() const { return MappedFile::Open(upload_.path_); }
  // Gives the digest.
  StatusOr<std::string> Finish() &&;

 private:
  friend class BlobStore;
  Writer(const BlobStore& store, BlobUpload upload) : store_(store), upload_(std::move(upload)) {}

  BlobStore store_;
  BlobUpload upload_;
  bool unfinished_ = true;
};

}  // namespace consilium
