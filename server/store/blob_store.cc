#include "server/store/blob_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "common/encoding/update_encoding.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;

constexpr char kBlobs[] = "blobs";
constexpr char kIncoming[] = "incoming";
constexpr char kQuarantine[] = "quarantine";
// DIGEST~OWNER is a whole upload, DIGEST~OWNER~part one that is not.
constexpr char kSeparator = '~';
constexpr std::string_view kPart = "~part";
// Bytes after which the kernel is asked to begin writing, so that the sync at the end finds little
// left.
constexpr std::uint64_t kFlushBytes = 4 << 20;
constexpr std::size_t kReadBytes = 256 << 10;
// How long after its bytes were hashed a blob is taken for sound.
constexpr std::chrono::minutes kStaysSound{1};

Status Rename(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return ErrnoStatus(errno, "cannot keep", from);
  return OkStatus();
}

Status SyncFile(const fs::path& path) {
  const FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0 || ::fdatasync(fd.get()) != 0) return ErrnoStatus(errno, "cannot sync", path);
  return OkStatus();
}

void RemoveFile(const fs::path& path) {
  std::error_code ignored;  // what is gone already is removed
  fs::remove(path, ignored);
}

std::string OwnerOf(const std::string& file) {
  const std::size_t separator = file.find(kSeparator);
  if (separator == std::string::npos) return "";
  std::string owner = file.substr(separator + 1);
  if (owner.ends_with(kPart)) owner.resize(owner.size() - kPart.size());
  return owner;
}

StatusOr<std::vector<BlobStore::Entry>> ListFolder(const fs::path& folder) {
  std::vector<BlobStore::Entry> entries;
  std::error_code error;
  fs::directory_iterator file(folder, error);
  for (; !error && file != fs::directory_iterator(); file.increment(error)) {
    std::error_code gone;
    const auto written = file->last_write_time(gone);
    if (gone) continue;
    const std::string name = file->path().filename().string();
    entries.push_back({.file = name,
                       .owner = OwnerOf(name),
                       .age = std::chrono::duration_cast<std::chrono::seconds>(
                           fs::file_time_type::clock::now() - written)});
  }
  if (error) return ErrnoStatus(error.value(), "cannot list", folder);
  return entries;
}

StatusOr<std::shared_ptr<const MappedFile>> Share(StatusOr<MappedFile> file) {
  CSL_RETURN_IF_ERROR(file.status());
  return std::make_shared<const MappedFile>(*std::move(file));
}

}  // namespace

void HashedLately::Note(const std::string& digest) {
  const auto now = std::chrono::steady_clock::now();
  MutexLock lock(mu_);
  std::erase_if(noted_, [&](const auto& entry) { return now - entry.second > kStaysSound; });
  noted_[digest] = now;
}

bool HashedLately::Has(const std::string& digest) const {
  const auto now = std::chrono::steady_clock::now();
  MutexLock lock(mu_);
  const auto found = noted_.find(digest);
  return found != noted_.end() && now - found->second <= kStaysSound;
}

Status BlobUpload::Append(std::span<const std::span<const std::byte>> pieces) {
  CSL_RETURN_IF_ERROR(WriteAll(fd_.get(), pieces, path_));
  for (const auto piece : pieces) {
    hash_.Update(piece);
    size_ += piece.size();
  }
  if (durability_ == Durability::kSynced && size_ - flushed_ >= kFlushBytes) {
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
  hashed_->Note(digest_);
  return Rename(path_, final_path_);
}

StatusOr<BlobStore> BlobStore::Open(const fs::path& folder) {
  CSL_RETURN_IF_ERROR(MakeFolders(folder / kBlobs));
  CSL_RETURN_IF_ERROR(MakeFolders(folder / kIncoming));
  return BlobStore(folder);
}

bool BlobStore::Has(const std::string& digest) const {
  return IsDigest(digest) && std::filesystem::exists(BlobPath(digest));
}

StatusOr<std::shared_ptr<const MappedFile>> BlobStore::Map(const std::string& digest) const {
  if (!IsDigest(digest)) return InvalidArgument("'{}' is not a digest", digest);
  return Share(MappedFile::Open(BlobPath(digest)));
}

StatusOr<bool> BlobStore::IsSound(const std::string& digest, const std::string& owner) const {
  if (!IsDigest(digest)) return InvalidArgument("'{}' is not a digest", digest);
  const bool is_upload = !owner.empty() && !Has(digest);
  const fs::path path = is_upload ? UploadPath(digest, owner) : BlobPath(digest);
  const FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0 && errno == ENOENT) return false;
  if (fd.get() < 0) return ErrnoStatus(errno, "cannot read", path);
  if (hashed_->Has(digest)) return true;
  // Not through a mapping: what cannot be read would end the process.
  Sha256 hash;
  std::vector<std::byte> buffer(kReadBytes);
  while (true) {
    const ssize_t n = ::read(fd.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EIO) return false;
    if (n < 0) return ErrnoStatus(errno, "cannot read", path);
    if (n == 0) break;
    hash.Update(std::span(buffer).first(static_cast<std::size_t>(n)));
  }
  if (hash.Finish() != digest) return false;
  hashed_->Note(digest);
  return true;
}

void BlobStore::Remove(const std::string& digest) const {
  if (IsDigest(digest)) RemoveFile(BlobPath(digest));
}

StatusOr<std::vector<BlobStore::Entry>> BlobStore::List() const {
  return ListFolder(folder_ / kBlobs);
}

BlobStore::Held BlobStore::HeldOf(const std::string& digest, const std::string& owner) const {
  std::error_code error;
  for (const fs::path& path : {BlobPath(digest), UploadPath(digest, owner)}) {
    const auto size = fs::file_size(path, error);
    if (!error) return {.bytes = size, .whole = true};
  }
  const auto size = fs::file_size(PartPath(digest, owner), error);
  return {.bytes = error ? 0 : size, .whole = false};
}

StatusOr<BlobUpload> BlobStore::Continue(const std::string& digest, const std::string& owner,
                                         const OnHeld& on_held) const {
  if (!IsDigest(digest)) return InvalidArgument("'{}' is not a digest", digest);
  const fs::path path = PartPath(digest, owner);
  FileDescriptor fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, kPrivateMode));
  if (fd.get() < 0) return ErrnoStatus(errno, "cannot write", path);
  CSL_ASSIGN_OR_RETURN(const MappedFile held, MappedFile::Open(path));
  BlobUpload upload(path, std::move(fd), Durability::kCached, hashed_);
  upload.final_path_ = UploadPath(digest, owner);
  upload.digest_ = digest;
  upload.hash_.Update(held.bytes());
  upload.size_ = held.bytes().size();
  if (on_held) on_held(held.bytes());
  return upload;
}

StatusOr<std::shared_ptr<const MappedFile>> BlobStore::MapUpload(const std::string& digest,
                                                                 const std::string& owner) const {
  if (!IsDigest(digest)) return InvalidArgument("'{}' is not a digest", digest);
  if (Has(digest)) return Map(digest);
  return Share(MappedFile::Open(UploadPath(digest, owner)));
}

Status BlobStore::Keep(const std::string& digest, const std::string& owner,
                       Durability durability) const {
  if (!IsDigest(digest)) return InvalidArgument("'{}' is not a digest", digest);
  const fs::path from = UploadPath(digest, owner);
  const fs::path to = BlobPath(digest);
  const bool is_there = Has(digest);
  if (durability == Durability::kSynced) CSL_RETURN_IF_ERROR(SyncFile(is_there ? to : from));
  if (is_there) {
    RemoveFile(from);
  } else {
    CSL_RETURN_IF_ERROR(Rename(from, to));
  }
  return durability == Durability::kSynced ? SyncFolder(folder_ / kBlobs) : OkStatus();
}

void BlobStore::Drop(const std::string& digest, const std::string& owner) const {
  if (!IsDigest(digest)) return;
  RemoveFile(UploadPath(digest, owner));
  RemoveFile(PartPath(digest, owner));
}

void BlobStore::DropOthers(const std::string& digest, const std::string& owner) const {
  std::error_code error;
  fs::directory_iterator file(folder_ / kIncoming, error);
  for (; !error && file != fs::directory_iterator(); file.increment(error)) {
    const std::string name = file->path().filename().string();
    if (OwnerOf(name) == owner && !name.starts_with(digest)) RemoveIncoming(name);
  }
}

void BlobStore::SetAside(const std::string& digest, const std::string& owner,
                         const std::string& reason) const {
  if (!IsDigest(digest)) return;
  const fs::path folder = folder_ / kQuarantine;
  std::error_code error;
  fs::create_directories(folder, error);
  const auto file = MapUpload(digest, owner);
  if (!file.ok()) return;
  const bool is_encoded = UpdateDecoder::IsEncoded((*file)->bytes());
  const fs::path kept = folder / (owner + (is_encoded ? ".update" : ".safetensors"));
  fs::remove(kept, error);
  // Another name of the same file, which no one writes any more.
  fs::create_hard_link(Has(digest) ? BlobPath(digest) : UploadPath(digest, owner), kept, error);
  if (error) return;
  (void)WriteFileAtomically(folder / (owner + ".reason"), reason + "\n", kPrivateMode);
  auto entries = ListFolder(folder);
  if (!entries.ok()) return;
  std::erase_if(*entries, [](const Entry& entry) { return entry.file.ends_with(".reason"); });
  std::ranges::sort(*entries, {}, &Entry::age);
  for (std::size_t i = kMaxSetAside; i < entries->size(); ++i) {
    const fs::path old = folder / (*entries)[i].file;
    fs::remove(old, error);
    fs::remove(fs::path(old).replace_extension(".reason"), error);
  }
}

StatusOr<BlobStore::Writer> BlobStore::Create(Durability durability) const {
  const fs::path path = folder_ / kIncoming / RandomHex(16);
  FileDescriptor fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kPrivateMode));
  if (fd.get() < 0) return ErrnoStatus(errno, "cannot write", path);
  return Writer(*this, BlobUpload(path, std::move(fd), durability, hashed_));
}

BlobStore::Writer::Writer(Writer&& other) noexcept
    : store_(std::move(other.store_)),
      upload_(std::move(other.upload_)),
      unfinished_(std::exchange(other.unfinished_, false)) {}

BlobStore::Writer::~Writer() {
  if (unfinished_) RemoveFile(upload_.path_);
}

StatusOr<std::string> BlobStore::Writer::Finish() && {
  std::string digest = upload_.hash_.Finish();
  const fs::path blob = store_.BlobPath(digest);
  const bool is_synced = upload_.durability_ == Durability::kSynced;
  if (is_synced && ::fdatasync(upload_.fd_.get()) != 0) {
    return ErrnoStatus(errno, "cannot sync", upload_.path_);
  }
  CSL_RETURN_IF_ERROR(Rename(upload_.path_, blob));
  unfinished_ = false;
  if (is_synced) CSL_RETURN_IF_ERROR(SyncFolder(blob.parent_path()));
  upload_.hashed_->Note(digest);
  return digest;
}

StatusOr<std::vector<BlobStore::Entry>> BlobStore::ListIncoming() const {
  return ListFolder(folder_ / kIncoming);
}

void BlobStore::RemoveIncoming(const std::string& file) const {
  RemoveFile(folder_ / kIncoming / fs::path(file).filename());
}

fs::path BlobStore::BlobPath(const std::string& digest) const { return folder_ / kBlobs / digest; }

fs::path BlobStore::UploadPath(const std::string& digest, const std::string& owner) const {
  return folder_ / kIncoming / fmt::format("{}{}{}", digest, kSeparator, owner);
}

fs::path BlobStore::PartPath(const std::string& digest, const std::string& owner) const {
  return folder_ / kIncoming / fmt::format("{}{}{}{}", digest, kSeparator, owner, kPart);
}

}  // namespace consilium
