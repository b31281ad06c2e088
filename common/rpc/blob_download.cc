#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <functional>

#include "common/base/file.h"
#include "common/crypto/digest.h"
#include "common/rpc/blob_transfer.h"
#include "common/rpc/channel.h"
#include "common/rpc/chunk.h"
#include "common/rpc/message_bytes.h"
#include "common/rpc/raw_stream.h"
#include "consilium/v1/blob.grpc.pb.h"

namespace consilium {
namespace {

// What a download into memory makes room for before bytes come, however many are expected: of
// addresses, memory it becomes when they do.
constexpr std::uint64_t kMostReservedBytes = 1 << 30;
// How long one lasts before it is also written down, and the bytes a second of a line that could
// bring them again as fast as a disk.
constexpr std::chrono::seconds kSpoolAfter{2};
constexpr double kFastLine = 64 << 20;

// A download's unfinished file: what is there is hashed once, what comes is hashed as it is
// written.
class PartialFile {
 public:
  static StatusOr<PartialFile> Open(std::filesystem::path path) {
    FileDescriptor fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, kPublicMode));
    if (fd.get() < 0) return ErrnoStatus(errno, "cannot write", path);
    CSL_ASSIGN_OR_RETURN(const MappedFile held, MappedFile::Open(path));
    PartialFile file(std::move(path), std::move(fd));
    file.hash_.Update(held.bytes());
    file.size_ = held.bytes().size();
    return file;
  }

  Status Append(const Chunk& chunk) {
    CSL_RETURN_IF_ERROR(WriteAll(fd_.get(), chunk.pieces, path_));
    for (const auto piece : chunk.pieces) hash_.Update(piece);
    size_ += chunk.bytes;
    return OkStatus();
  }

  // Puts the file at its final path if it is what was asked for, and drops it if not.
  Status Finish(const std::string& digest, const std::filesystem::path& path) {
    if (hash_.Finish() != digest) {
      ::unlink(path_.c_str());
      return DataLoss("the bytes received for {} do not have that digest; dropped", digest);
    }
    if (::fsync(fd_.get()) != 0 || ::rename(path_.c_str(), path.c_str()) != 0) {
      return ErrnoStatus(errno, "cannot write", path);
    }
    return SyncFolder(path.parent_path());
  }

  std::uint64_t size() const { return size_; }

 private:
  PartialFile(std::filesystem::path path, FileDescriptor fd)
      : path_(std::move(path)), fd_(std::move(fd)) {}

  std::filesystem::path path_;
  FileDescriptor fd_;
  Sha256 hash_;
  std::uint64_t size_ = 0;
};

// A download's bytes, written down beside the memory that they are received into, where it lasts
// and its line is slow: what came quickly can come once more. Not synced: the digest of the whole
// tells what a power cut did to them.
class Spool {
 public:
  // Takes what a process before this one received, if `bytes` is empty.
  Spool(std::filesystem::path path, std::uint64_t max_bytes, std::string& bytes)
      : path_(std::move(path)), bytes_(bytes) {
    if (bytes.empty()) {
      auto held = ReadFile(path_, max_bytes);
      if (held.ok()) bytes = *std::move(held);
    }
    held_ = bytes.size();
  }

  // More has come.
  void Note() {
    const std::chrono::duration<double> lasted = std::chrono::steady_clock::now() - begin_;
    const auto came = static_cast<double>(bytes_.size() - held_);
    if (fd_.get() >= 0 || (lasted > kSpoolAfter && came < kFastLine * lasted.count())) Write();
  }
  // The download breaks off, to be continued.
  void Keep() { Write(); }
  void Drop() {
    is_useless_ = true;
    fd_ = FileDescriptor();
    ::unlink(path_.c_str());
  }

 private:
  void Write() {
    if (is_useless_) return;
    if (fd_.get() < 0) {
      fd_ = FileDescriptor(
          ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, kPrivateMode));
      std::error_code error;
      written_ = std::filesystem::file_size(path_, error);
      if (error || written_ > bytes_.size()) return Drop();
    }
    if (!WriteAll(fd_.get(), AsBytes(bytes_).subspan(written_), path_).ok()) return Drop();
    written_ = bytes_.size();
  }

  const std::filesystem::path path_;
  const std::string& bytes_;
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  std::size_t held_ = 0;  // bytes at the beginning
  FileDescriptor fd_;
  std::size_t written_ = 0;
  bool is_useless_ = false;  // it cannot be written
};

// Of one blob alone: the part of another must not be continued with this one's bytes.
std::filesystem::path PartPath(const std::filesystem::path& path, const std::string& digest) {
  return fmt::format("{}.{}.part", path.string(), digest.substr(0, 16));
}

// Hands over the blob's chunks, from the offset on, until the end or the first error.
Status ReceiveChunks(const std::shared_ptr<grpc::Channel>& channel, const std::string& digest,
                     std::uint64_t offset, const std::stop_token& stop,
                     const std::function<Status(const Chunk&)>& take) {
  v1::DownloadRequest request;
  request.set_digest(digest);
  request.set_offset(offset);
  CallContext context(kTransferTimeout, stop);
  RawStream stream(channel, fmt::format("/{}/Download", v1::BlobService::service_full_name()),
                   context);
  stream.Write(ToByteBuffer(request));
  stream.WritesDone();
  grpc::ByteBuffer message;
  Status taken;
  while (taken.ok() && stream.Read(message)) {
    const auto chunk = ParseChunk(v1::DownloadResponse::kDataFieldNumber, message);
    taken = chunk.ok() ? take(*chunk) : chunk.status();
  }
  if (!taken.ok()) context.get()->TryCancel();
  const Status received = stream.Finish();
  return taken.ok() ? received : taken;
}

Status CheckRoom(const std::string& digest, std::uint64_t held, std::uint64_t more,
                 std::uint64_t max_bytes) {
  if (held <= max_bytes && more <= max_bytes - held) return OkStatus();
  return absl::ResourceExhaustedError(
      fmt::format("blob {} is larger than the {} bytes expected", digest, max_bytes));
}

}  // namespace

Status DownloadBlob(const std::shared_ptr<grpc::Channel>& channel, const std::string& digest,
                    const std::filesystem::path& path, std::uint64_t max_bytes,
                    const std::stop_token& stop, const TransferCallback& on_chunk) {
  if (std::filesystem::exists(path)) return OkStatus();
  CSL_ASSIGN_OR_RETURN(PartialFile file, PartialFile::Open(PartPath(path, digest)));
  const auto append = [&](const Chunk& chunk) -> Status {
    CSL_RETURN_IF_ERROR(CheckRoom(digest, file.size(), chunk.bytes, max_bytes));
    CSL_RETURN_IF_ERROR(file.Append(chunk));
    if (on_chunk) on_chunk(file.size(), max_bytes);
    return OkStatus();
  };
  CSL_RETURN_IF_ERROR(ReceiveChunks(channel, digest, file.size(), stop, append));
  return file.Finish(digest, path);
}

Status DownloadBlob(const std::shared_ptr<grpc::Channel>& channel, const std::string& digest,
                    std::uint64_t max_bytes, std::string& bytes, const std::filesystem::path& part,
                    const std::stop_token& stop, const TransferCallback& on_chunk) {
  bytes.reserve(std::min(max_bytes, kMostReservedBytes));
  Spool spool(part, max_bytes, bytes);
  Sha256 hash;
  hash.Update(AsBytes(bytes));
  const auto append = [&](const Chunk& chunk) -> Status {
    CSL_RETURN_IF_ERROR(CheckRoom(digest, bytes.size(), chunk.bytes, max_bytes));
    for (const auto piece : chunk.pieces) {
      bytes.append(reinterpret_cast<const char*>(piece.data()), piece.size());
      hash.Update(piece);
    }
    spool.Note();
    if (on_chunk) on_chunk(bytes.size(), max_bytes);
    return OkStatus();
  };
  if (Status status = ReceiveChunks(channel, digest, bytes.size(), stop, append); !status.ok()) {
    spool.Keep();
    return status;
  }
  spool.Drop();
  if (hash.Finish() == digest) return OkStatus();
  bytes.clear();
  return DataLoss("the bytes received for {} do not have that digest; dropped", digest);
}

}  // namespace consilium
