#include "server/store/blob_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace consilium {
namespace {

constexpr char kBlobs[] = "blobs";
constexpr char kIncoming[] = "incoming";
// Bytes after which the kernel is asked to begin writing, so that the sync at the end finds little
// left.
constexpr std::uint64_t kFlushBytes = 4 << 20;

// Syncs the file and moves it to where blobs lie.
Status Settle(const FileDescriptor& fd, const std::filesystem::path& from,
              const std::filesystem::path& to) {
  if (::fdatasync(fd.get()) != 0 || ::rename(from.c_str(), to.c_str()) != 0) {
    return ErrnoStatus(errno, "cannot keep", to);
  }
  return SyncFolder(to.parent_path());
}

}  // namespace

Status BlobUpload::Append(std::span<const std::byte> bytes) {
  CSL_RETURN_IF_ERROR(WriteAll(fd_.get(), bytes, path_));
  hash_.Update(bytes);
  size_ += bytes.size();
  if (size_ - flushed_ >= kFlushBytes) {
    ::sync_file_range(fd_.get(), static_cast<off64_t>(flushed_),
                      static_cast<off64_t>(size_ - flushed_), SYNC_FILE_RANGE_WRITE);
    flushed_ = size_;
  }
  return OkStatus();
}

Status BlobUpload::Finish() && {
  if (hash_.Finish() != digest_) {
    ::unlink(path_.c_str());
    return DataLoss("the {} bytes received do not have the digest {}; send them again", size_,
                    digest_);
  }
  return Settle(fd_, path_, final_path_);
}

StatusOr<BlobStore> BlobStore::Open(const std::filesystem::path& folder) {
  CSL_RETURN_IF_ERROR(MakeFolders(folder / kBlobs));
  CSL_RETURN_IF_ERROR(MakeFolders(folder / kIncoming));
  return BlobStore(folder);
}

bool BlobStore::Has(const std::string& digest) const {
  return IsDigest(digest) && std::filesystem::exists(BlobPath(digest));
}

std::uint64_t BlobStore::HeldBytes(const std::string& digest, const std::string& owner) const {
  std::error_code error;
  const auto size = std::filesystem::file_size(PartPath(digest, owner), error);
  return error ? 0 : size;
}

StatusOr<std::shared_ptr<const MappedFile>> BlobStore::Map(const std::string& digest) const {
  if (!IsDigest(digest)) return InvalidArgument("'{}' is not a digest", digest);
  CSL_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(BlobPath(digest)));
  return std::make_shared<const MappedFile>(std::move(file));
}

StatusOr<BlobUpload> BlobStore::Continue(const std::string& digest,
                                         const std::string& owner) const {
  if (!IsDigest(digest)) return InvalidArgument("'{}' is not a digest", digest);
  const std::filesystem::path path = PartPath(digest, owner);
  FileDescriptor fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, kPrivateMode));
  if (fd.get() < 0) return ErrnoStatus(errno, "cannot write", path);
  CSL_ASSIGN_OR_RETURN(const MappedFile held, MappedFile::Open(path));
  BlobUpload upload(path, std::move(fd));
  upload.final_path_ = BlobPath(digest);
  upload.digest_ = digest;
  upload.hash_.Update(held.bytes());
  upload.size_ = held.bytes().size();
  return upload;
}

StatusOr<BlobStore::Writer> BlobStore::Create() const {
  const std::filesystem::path path = folder_ / kIncoming / RandomHex(16);
  FileDescriptor fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kPrivateMode));
  if (fd.get() < 0) return ErrnoStatus(errno, "cannot write", path);
  return Writer(*this, BlobUpload(path, std::move(fd)));
}

StatusOr<std::string> BlobStore::Writer::Finish() && {
  std::string digest = upload_.hash_.Finish();
  CSL_RETURN_IF_ERROR(Settle(upload_.fd_, upload_.path_, store_.BlobPath(digest)));
  return digest;
}

void BlobStore::Remove(const std::string& digest) const {
  std::error_code ignored;  // what is gone already is removed
  if (IsDigest(digest)) std::filesystem::remove(BlobPath(digest), ignored);
}

std::filesystem::path BlobStore::BlobPath(const std::string& digest) const {
  return folder_ / kBlobs / digest;
}

std::filesystem::path BlobStore::PartPath(const std::string& digest,
                                          const std::string& owner) const {
  return folder_ / kIncoming / fmt::format("{}.{}", digest, owner);
}

}  // namespace consilium
