#include "common/rpc/blob_transfer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <functional>

#include "common/base/file.h"
#include "common/crypto/digest.h"
#include "common/rpc/channel.h"
#include "common/rpc/grpc_status.h"

namespace consilium {
namespace {

constexpr std::chrono::seconds kControlTimeout{30};
constexpr std::chrono::hours kTransferTimeout{24};
// What a download into memory makes room for before bytes come, however many are expected.
constexpr std::uint64_t kMostReservedBytes = 256 << 20;

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

  Status Append(std::string_view data) {
    CSL_RETURN_IF_ERROR(WriteAll(fd_.get(), AsBytes(data), path_));
    hash_.Update(AsBytes(data));
    size_ += data.size();
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

// A download's bytes, written down beside the memory that they are received into. Not synced: the
// digest of the whole tells what a power cut did to them.
class Spool {
 public:
  // Takes what a process before this one received, if `bytes` is empty.
  Spool(std::filesystem::path path, std::uint64_t max_bytes, std::string& bytes)
      : path_(std::move(path)) {
    if (bytes.empty()) {
      auto held = ReadFile(path_, max_bytes);
      if (held.ok()) bytes = *std::move(held);
    }
    fd_ = FileDescriptor(
        ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, kPrivateMode));
    std::error_code error;
    if (std::filesystem::file_size(path_, error) != bytes.size() || error) Drop();
  }

  void Append(std::string_view data) {
    if (fd_.get() >= 0 && !WriteAll(fd_.get(), AsBytes(data), path_).ok()) Drop();
  }
  void Drop() {
    fd_ = FileDescriptor();
    ::unlink(path_.c_str());
  }

 private:
  std::filesystem::path path_;
  FileDescriptor fd_;
};

// Of one blob alone: the part of another must not be continued with this one's bytes.
std::filesystem::path PartPath(const std::filesystem::path& path, const std::string& digest) {
  return fmt::format("{}.{}.part", path.string(), digest.substr(0, 16));
}

StatusOr<v1::StatUploadResponse> StatUpload(v1::BlobService::StubInterface& stub,
                                            const v1::UploadRequest::Header& header,
                                            const std::stop_token& stop) {
  v1::StatUploadRequest request;
  *request.mutable_blob() = header.blob();
  request.set_task_id(header.task_id());
  v1::StatUploadResponse response;
  CallContext context(kControlTimeout, stop);
  CSL_RETURN_IF_ERROR(FromGrpc(stub.StatUpload(context.get(), request, &response)));
  return response;
}

// Hands over the blob's chunks, from the offset on, until the end or the first error.
Status ReceiveChunks(v1::BlobService::StubInterface& stub, const std::string& digest,
                     std::uint64_t offset, const std::stop_token& stop,
                     const std::function<Status(std::string_view)>& take) {
  v1::DownloadRequest request;
  request.set_digest(digest);
  request.set_offset(offset);
  CallContext context(kTransferTimeout, stop);
  const auto reader = stub.Download(context.get(), request);
  v1::DownloadResponse response;
  Status taken;
  while (taken.ok() && reader->Read(&response)) taken = take(response.data());
  if (!taken.ok()) context.get()->TryCancel();
  const Status received = FromGrpc(reader->Finish());
  return taken.ok() ? received : taken;
}

Status CheckRoom(const std::string& digest, std::uint64_t held, std::uint64_t more,
                 std::uint64_t max_bytes) {
  if (held <= max_bytes && more <= max_bytes - held) return OkStatus();
  return absl::ResourceExhaustedError(
      fmt::format("blob {} is larger than the {} bytes expected", digest, max_bytes));
}

}  // namespace

Status UploadBlob(v1::BlobService::StubInterface& stub, std::span<const std::byte> bytes,
                  const std::string& digest, const std::string& task_id,
                  const std::stop_token& stop, const TransferCallback& on_chunk) {
  v1::UploadRequest request;
  v1::UploadRequest::Header& header = *request.mutable_header();
  header.mutable_blob()->set_digest(digest);
  header.mutable_blob()->set_size_bytes(bytes.size());
  header.set_task_id(task_id);
  CSL_ASSIGN_OR_RETURN(const v1::StatUploadResponse held, StatUpload(stub, header, stop));
  if (held.complete()) return OkStatus();
  header.set_offset(std::min<std::uint64_t>(held.held_bytes(), bytes.size()));

  v1::UploadResponse response;
  CallContext context(kTransferTimeout, stop);
  const auto writer = stub.Upload(context.get(), &response);
  std::size_t offset = header.offset();
  bool open = writer->Write(request);
  while (open && offset < bytes.size()) {
    const auto chunk = bytes.subspan(offset, std::min(kChunkBytes, bytes.size() - offset));
    request.set_data(chunk.data(), chunk.size());
    open = writer->Write(request);
    offset += chunk.size();
    if (on_chunk) on_chunk(offset, bytes.size());
  }
  writer->WritesDone();
  return FromGrpc(writer->Finish());
}

Status DownloadBlob(v1::BlobService::StubInterface& stub, const std::string& digest,
                    const std::filesystem::path& path, std::uint64_t max_bytes,
                    const std::stop_token& stop, const TransferCallback& on_chunk) {
  if (std::filesystem::exists(path)) return OkStatus();
  CSL_ASSIGN_OR_RETURN(PartialFile file, PartialFile::Open(PartPath(path, digest)));
  const auto append = [&](std::string_view data) -> Status {
    CSL_RETURN_IF_ERROR(CheckRoom(digest, file.size(), data.size(), max_bytes));
    CSL_RETURN_IF_ERROR(file.Append(data));
    if (on_chunk) on_chunk(file.size(), max_bytes);
    return OkStatus();
  };
  CSL_RETURN_IF_ERROR(ReceiveChunks(stub, digest, file.size(), stop, append));
  return file.Finish(digest, path);
}

Status DownloadBlob(v1::BlobService::StubInterface& stub, const std::string& digest,
                    std::uint64_t max_bytes, std::string& bytes, const std::filesystem::path& part,
                    const std::stop_token& stop, const TransferCallback& on_chunk) {
  bytes.reserve(std::min(max_bytes, kMostReservedBytes));
  Spool spool(part, max_bytes, bytes);
  const auto append = [&](std::string_view data) -> Status {
    CSL_RETURN_IF_ERROR(CheckRoom(digest, bytes.size(), data.size(), max_bytes));
    bytes.append(data);
    spool.Append(data);
    if (on_chunk) on_chunk(bytes.size(), max_bytes);
    return OkStatus();
  };
  CSL_RETURN_IF_ERROR(ReceiveChunks(stub, digest, bytes.size(), stop, append));
  spool.Drop();
  if (Sha256Of(bytes) == digest) return OkStatus();
  bytes.clear();
  return DataLoss("the bytes received for {} do not have that digest; dropped", digest);
}

}  // namespace consilium
