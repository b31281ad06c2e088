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

// One stream of an upload. Finishes once the sender is done or anything is wrong.
class UploadReactor final : public grpc::ServerReadReactor<grpc::ByteBuffer>,
                            private IncomingBlob::Stream {
 public:
  UploadReactor(BlobService& service, OpenCaller caller, std::string peer,
                grpc::ByteBuffer* response)
      : service_(service), caller_(std::move(caller)), peer_(std::move(peer)), response_(response) {
    StartRead(&message_);
  }

  void OnReadDone(bool ok) override {
    has_ended_ = !ok;
    const StatusOr<bool> taken = ok ? Take() : End();
    if (!taken.ok()) return Finish(taken.status());
    if (*taken) GoOn();  // otherwise Resume does, and has perhaps ended this
  }
  void OnCancel() override {
    std::shared_ptr<IncomingBlob> blob;
    {
      MutexLock lock(mu_);
      is_cancelled_ = true;
      blob = blob_;
    }
    if (blob) blob->Leave(stream_);
  }
  void OnDone() override { delete this; }

 private:
  const Chunk& chunk() const override { return chunk_; }
  bool IsCancelled() const override {
    MutexLock lock(mu_);
    return is_cancelled_;
  }
  void Resume(const Status& status) override {
    if (!status.ok()) return Finish(status);
    GoOn();
  }
  void GoOn() {
    if (has_ended_) return Finish(OkStatus());
    chunk_ = {};
    message_.Clear();
    StartRead(&message_);
  }

  StatusOr<bool> Take() {
    caller_.open.Moved(message_.Length());
    if (!joined_) {
      CSL_RETURN_IF_ERROR(Begin());
      return true;
    }
    CSL_ASSIGN_OR_RETURN(chunk_, ParseChunk(v1::UploadRequest::kDataFieldNumber, message_));
    return joined_->Take(stream_, *this);
  }

  Status Begin() {
    CSL_ASSIGN_OR_RETURN(const auto request, FromByteBuffer<v1::UploadRequest>(message_));
    if (!request.has_header()) return InvalidArgument("an upload begins with its header");
    const v1::UploadRequest::Header& header = request.header();
    const Status allowed = service_.CheckUpload(caller_.identity, header.blob(), header.task_id());
    service_.gate().NoteIfRefused(allowed, peer_, caller_.identity.name, kUpload);
    CSL_RETURN_IF_ERROR(allowed);
    const std::size_t streams = std::max(1U, header.streams());
    if (streams > IncomingBlob::kMostStreams || header.stream() >= streams) {
      return InvalidArgument("stream {} of {}, want at most {}", header.stream(), streams,
                             IncomingBlob::kMostStreams);
    }
    stream_ = header.stream();
    CSL_ASSIGN_OR_RETURN(auto blob,
                         service_.Attempt({.digest = header.blob().digest(),
                                           .owner = OwnerOf(caller_.identity, header.task_id()),
                                           .size = header.blob().size_bytes(),
                                           .offset = header.offset(),
                                           .number = header.attempt(),
                                           .streams = streams}));
    if (caller_.identity.role == Role::kHospital && stream_ == 0) {
      service_.blobs().DropOthers(blob->attempt().digest, blob->attempt().owner);
    }
    CSL_RETURN_IF_ERROR(
        blob->Join(service_.blobs(), stream_, service_.WatchOf(caller_.identity, blob->attempt())));
    joined_ = blob.get();
    MutexLock lock(mu_);
    blob_ = std::move(blob);
    return OkStatus();
  }

  StatusOr<bool> End() {
    if (!joined_) return InvalidArgument("an upload begins with its header");
    return joined_->End(stream_, *this);
  }

  void Finish(const Status& status) {
    v1::UploadResponse response;
    if (joined_) response.set_held_bytes(joined_->held_bytes());
    *response_ = ToByteBuffer(response);
    ServerReadReactor::Finish(ToCaller(status));
  }

  BlobService& service_;
  OpenCaller caller_;
  const std::string peer_;
  grpc::ByteBuffer* const response_;
  grpc::ByteBuffer message_;
  Chunk chunk_;
  bool has_ended_ = false;  // the sender is done
  std::size_t stream_ = 0;
  IncomingBlob* joined_ = nullptr;  // blob_, once there is one
  mutable Mutex mu_;
  std::shared_ptr<IncomingBlob> blob_ ABSL_GUARDED_BY(mu_);
  bool is_cancelled_ ABSL_GUARDED_BY(mu_) = false;
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
    const std::string owner = OwnerOf(caller, request->task_id());
    const BlobStore::Held held = blobs().HeldOf(request->blob().digest(), owner);
    response->set_complete(held.whole);
    response->set_held_bytes(held.bytes);
    MutexLock lock(mu_);
    response->set_streams(static_cast<std::uint32_t>(FreeStreams(owner)));
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

StatusOr<std::shared_ptr<IncomingBlob>> BlobService::Attempt(const IncomingBlob::Attempt& attempt) {
  MutexLock lock(mu_);
  std::erase_if(uploads_, [](const auto& upload) { return upload.second.expired(); });
  const std::pair key(attempt.digest, attempt.owner);
  const auto found = uploads_.find(key);
  auto blob = found == uploads_.end() ? nullptr : found->second.lock();
  const bool is_same = blob && blob->attempt() == attempt;
  // A stream that comes after its attempt's end hears of that.
  if (is_same && (!blob->IsOver() || attempt.streams > 1)) return blob;
  if (blob && !blob->IsOver()) {
    return absl::AbortedError("this blob is being uploaded on another connection");
  }
  if (attempt.streams > FreeStreams(attempt.owner)) {
    return absl::AbortedError("no room for so many streams");
  }
  blob = std::make_shared<IncomingBlob>(attempt);
  uploads_[key] = blob;
  return blob;
}

IncomingBlob::Watch BlobService::WatchOf(const Identity& caller,
                                         const IncomingBlob::Attempt& attempt) const {
  if (caller.role != Role::kHospital) return {};
  return [this, &attempt] {
    return coordinator_.WatchUpload(attempt.owner, attempt.digest, attempt.size);
  };
}

std::size_t BlobService::FreeStreams(const std::string& owner) const {
  std::size_t free = kFurtherStreams;
  for (const auto& [key, upload] : uploads_) {
    const auto blob = upload.lock();
    if (!blob) continue;
    const std::size_t further = blob->attempt().streams - 1;
    if (further > 0 && key.second == owner && !blob->IsOver()) return 1;
    free -= std::min(free, further);
  }
  return std::min(1 + free, IncomingBlob::kMostStreams);
}

}  // namespace consilium
