#pragma once

// Blobs in and out of the store, in chunks.
//
// A hospital uploads for its open tasks and downloads global models; an admin uploads initial
// models and downloads global models. Other hospitals' updates are not to be had.

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "consilium/v1/blob.grpc.pb.h"
#include "server/round/coordinator.h"
#include "server/rpc/gate.h"
#include "server/rpc/incoming_blob.h"

namespace consilium {

// Chunks bypass message objects: one that is sent is a slice of the mapped blob, one that is
// received goes into its file from where gRPC has it.
class BlobService final
    : public v1::BlobService::WithRawCallbackMethod_Upload<
          v1::BlobService::WithRawCallbackMethod_Download<v1::BlobService::CallbackService>> {
 public:
  BlobService(Gate& gate, Coordinator& coordinator, Store& store)
      : gate_(gate), coordinator_(coordinator), store_(store) {}

  grpc::ServerUnaryReactor* StatUpload(grpc::CallbackServerContext* context,
                                       const v1::StatUploadRequest* request,
                                       v1::StatUploadResponse* response) override;
  grpc::ServerReadReactor<grpc::ByteBuffer>* Upload(grpc::CallbackServerContext* context,
                                                    grpc::ByteBuffer* response) override;
  grpc::ServerWriteReactor<grpc::ByteBuffer>* Download(grpc::CallbackServerContext* context,
                                                       const grpc::ByteBuffer* request) override;

  // OK if the caller may upload the blob for the task.
  Status CheckUpload(const Identity& caller, const v1::BlobRef& blob,
                     const std::string& task_id) const;
  // The attempt's blob, for another of its streams. ABORTED where another attempt to upload it for
  // that owner is under way.
  StatusOr<std::shared_ptr<IncomingBlob>> Attempt(const IncomingBlob::Attempt& attempt);

  // How a hospital's update is looked at while it comes; nothing for other callers.
  IncomingBlob::Watch WatchOf(const Identity& caller, const IncomingBlob::Attempt& attempt) const;

  const BlobStore& blobs() const { return coordinator_.blobs(); }
  Gate& gate() { return gate_; }

 private:
  // Whether the caller may have it: a global model; for the role inference one that is released.
  Status CheckDownload(const Identity& caller, const std::string& digest) const;
  // Of all uploads together, beside the first of each: what they may send ahead is memory.
  static constexpr std::size_t kFurtherStreams = 32;
  // How many another upload of that owner may have: one where it has several already.
  std::size_t FreeStreams(const std::string& owner) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  Gate& gate_;
  Coordinator& coordinator_;
  Store& store_;
  mutable Mutex mu_;
  // By digest and owner; a blob lives as long as its streams do.
  std::map<std::pair<std::string, std::string>, std::weak_ptr<IncomingBlob>> uploads_
      ABSL_GUARDED_BY(mu_);
};

}  // namespace consilium
