#include "server/rpc/blob_service.h"

#include <algorithm>
#include <memory>
#include <optional>

#include "common/crypto/digest.h"
#include "common/model/model_file.h"
#include "common/rpc/chunk.h"
#include "common/rpc/message_bytes.h"
#include "server/rpc/answer.h"

namespace consilium {
namespace {

constexpr char kUpload[] = "BlobService/Upload";
constexpr char kDownload[] = "BlobService/Download";

// Who an upload belongs to, as a part of a file's name: a hospital's to its task, which
// CheckUpload has found.
std::string OwnerOf(const Identity& caller, const std::string& task_id) {
  return caller.role == Role::kHospital ? task_id : UploaderOf(caller.name);
}

// Writes what a caller sends into the store. Finishes once the sender is done or anything is wrong.
class UploadReactor final : public grpc::ServerReadReactor<grpc::ByteBuffer> {
 public:
  UploadReactor(BlobService& service, OpenCaller caller, std::string peer,
                grpc::ByteBuffer* response)
      : service_(service), caller_(std::move(caller)), peer_(std::move(peer)), response_(response) {
    StartRead(&message_);
  }

  void OnReadDone(bool ok) override {
    const Status status = ok ? Take() : End();
    if (ok && status.ok()) {
      StartRead(&message_);
      return;
    }
    if (upload_) held_bytes_ = upload_->size();
    upload_.reset();
    v1::UploadResponse response;
    response.set_held_bytes(held_bytes_);
    *response_ = ToByteBuffer(response);
    if (claimed_) service_.Release(blob_.digest(), owner_);
    Finish(ToCaller(status));
  }
  void OnDone() override { delete this; }

 private:
  Status Take() {
    caller_.open.Moved(message_.Length());
    if (!upload_) return Begin();
    CSL_ASSIGN_OR_RETURN(const Chunk chunk,
                         ParseChunk(v1::UploadRequest::kDataFieldNumber, message_));
    if (chunk.bytes > blob_.size_bytes() - upload_->size()) {
      return InvalidArgument("more than the {} bytes announced", blob_.size_bytes());
    }
    return upload_->Append(chunk.pieces);
  }

  Status Begin() {
    CSL_ASSIGN_OR_RETURN(const auto request, FromByteBuffer<v1::UploadRequest>(message_));
    if (!request.has_header()) return InvalidArgument("an upload begins with its header");
    const v1::UploadRequest::Header& header = request.header();
    blob_ = header.blob();
    const Status allowed = service_.CheckUpload(caller_.identity, blob_, header.task_id());
    service_.gate().NoteIfRefused(allowed, peer_, caller_.identity.name, kUpload);
    CSL_RETURN_IF_ERROR(allowed);
    owner_ = OwnerOf(caller_.identity, header.task_id());
    claimed_ = service_.Claim(blob_.digest(), owner_);
    if (!claimed_) return absl::AbortedError("this blob is being uploaded on another connection");
    if (caller_.identity.role == Role::kHospital)
      service_.blobs().DropOthers(blob_.digest(), owner_);
    CSL_ASSIGN_OR_RETURN(upload_, service_.blobs().Continue(blob_.digest(), owner_));
    if (upload_->size() > blob_.size_bytes()) {
      return InvalidArgument("{} bytes are held, more than the {} announced now", upload_->size(),
                             blob_.size_bytes());
    }
    if (upload_->size() != header.offset()) {
      return absl::AbortedError(fmt::format("{} bytes are held, the upload would go on at {}",
                                            upload_->size(), header.offset()));
    }
    return OkStatus();
  }

  // The sender closed its side, or the connection broke: what is there stays for the next attempt.
  Status End() {
    if (!upload_) return InvalidArgument("an upload begins with its header");
    if (upload_->size() < blob_.size_bytes()) {
      return Unavailable("{} of {} bytes came", upload_->size(), blob_.size_bytes());
    }
    held_bytes_ = upload_->size();
    BlobUpload upload = *std::exchange(upload_, std::nullopt);
    return std::move(upload).Finish();
  }

  BlobService& service_;
  OpenCaller caller_;
  const std::string peer_;
  grpc::ByteBuffer* const response_;
  grpc::ByteBuffer message_;
  std::uint64_t held_bytes_ = 0;
  v1::BlobRef blob_;
  std::string owner_;
  std::optional<BlobUpload> upload_;
  bool claimed_ = false;
};

class DownloadReactor final : public grpc::ServerWriteReactor<grpc::ByteBuffer> {
 public:
  explicit DownloadReactor(const Status& refused) { Finish(ToCaller(refused)); }
  DownloadReactor(OpenCaller caller, std::shared_ptr<const MappedFile> file, std::size_t offset)
      : caller_(std::move(caller)), file_(std::move(file)), offset_(offset) {
    Next();
  }

  void OnWriteDone(bool ok) override {
    if (ok) {
      Next();
    } else {
      Finish(grpc::Status::CANCELLED);
    }
  }
  void OnDone() override { delete this; }

 private:
  void Next() {
    const std::size_t size = std::min(kChunkBytes, file_->bytes().size() - offset_);
    if (size == 0) {
      Finish(grpc::Status::OK);
      return;
    }
    caller_->open.Moved(size);
    chunk_ = EncodeChunk(v1::DownloadResponse::kDataFieldNumber,
                         file_->bytes().subspan(offset_, size), file_);
    offset_ += size;
    StartWrite(&chunk_);
  }

  std::optional<OpenCaller> caller_;
  std::shared_ptr<const MappedFile> file_;
  std::size_t offset_ = 0;
  grpc::ByteBuffer chunk_;
};

// Ends an upload before it begins.
class RefusedUpload final : public grpc::ServerReadReactor<grpc::ByteBuffer> {
 public:
  explicit RefusedUpload(const Status& status) { Finish(ToCaller(status)); }
  void OnDone() override { delete this; }
};

}  // namespace

grpc::ServerUnaryReactor* BlobService::StatUpload(grpc::CallbackServerContext* context,
                                                  const v1::StatUploadRequest* request,
                                                  v1::StatUploadResponse* response) {
  return gate_.Answer(context, "BlobService/StatUpload", [&](const Identity& caller) -> Status {
    CSL_RETURN_IF_ERROR(CheckUpload(caller, request->blob(), request->task_id()));
    const BlobStore::Held held =
        blobs().HeldOf(request->blob().digest(), OwnerOf(caller, request->task_id()));
    response->set_complete(held.whole);
    response->set_held_bytes(held.bytes);
    return OkStatus();
  });
}

grpc::ServerReadReactor<grpc::ByteBuffer>* BlobService::Upload(grpc::CallbackServerContext* context,
                                                               grpc::ByteBuffer* response) {
  auto caller = gate_.AdmitOpen(*context, kUpload);
  if (!caller.ok()) return new RefusedUpload(caller.status());
  return new UploadReactor(*this, *std::move(caller), context->peer(), response);
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* BlobService::Download(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request) {
  const auto open = [&]() -> StatusOr<grpc::ServerWriteReactor<grpc::ByteBuffer>*> {
    CSL_ASSIGN_OR_RETURN(OpenCaller caller, gate_.AdmitOpen(*context, kDownload));
    CSL_ASSIGN_OR_RETURN(const v1::DownloadRequest download,
                         FromByteBuffer<v1::DownloadRequest>(*request));
    const Status allowed = CheckDownload(caller.identity, download.digest());
    gate_.NoteIfRefused(allowed, context->peer(), caller.identity.name, kDownload);
    CSL_RETURN_IF_ERROR(allowed);
    CSL_ASSIGN_OR_RETURN(auto file, blobs().Map(download.digest()));
    if (download.offset() > file->bytes().size()) {
      return InvalidArgument("offset {} is past the blob's {} bytes", download.offset(),
                             file->bytes().size());
    }
    return new DownloadReactor(std::move(caller), std::move(file), download.offset());
  };
  const auto reactor = open();
  return reactor.ok() ? *reactor : new DownloadReactor(reactor.status());
}

Status BlobService::CheckUpload(const Identity& caller, const v1::BlobRef& blob,
                                const std::string& task_id) const {
  if (!IsDigest(blob.digest())) return InvalidArgument("'{}' is not a digest", blob.digest());
  if (caller.role == Role::kHospital) {
    return coordinator_.CheckUpload(caller.name, task_id, blob.size_bytes());
  }
  if (blob.size_bytes() == 0 || blob.size_bytes() > kMaxModelBytes) {
    return InvalidArgument("a blob of {} bytes, want 1 to {}", blob.size_bytes(), kMaxModelBytes);
  }
  return OkStatus();
}

Status BlobService::CheckDownload(const Identity& caller, const std::string& digest) const {
  if (!coordinator_.IsForSites(digest)) return NotFound("no model has the digest '{}'", digest);
  if (caller.role != Role::kInference) return OkStatus();
  CSL_ASSIGN_OR_RETURN(const auto releases, store_.ListReleases());
  const bool is_released = std::ranges::any_of(releases, [&](const ReleaseRecord& release) {
    return release.digest == digest && !IsWithdrawn(release);
  });
  if (is_released) return OkStatus();
  return PermissionDenied("'{}' may have released models only", caller.name);
}

bool BlobService::Claim(const std::string& digest, const std::string& owner) {
  MutexLock lock(mu_);
  return uploads_.emplace(digest, owner).second;
}

void BlobService::Release(const std::string& digest, const std::string& owner) {
  MutexLock lock(mu_);
  uploads_.erase({digest, owner});
}

}  // namespace consilium
