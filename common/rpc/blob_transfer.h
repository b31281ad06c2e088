#pragma once

// The caller's end of BlobService: files by their SHA-256, resumed where they broke off.

#include <grpcpp/channel.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>

#include "common/base/status.h"
#include "common/rpc/round_trips.h"

namespace consilium {

// The largest message that the coordinator accepts: a chunk, of a MiB at most, and its envelope, or
// a control message.
inline constexpr int kMaxMessageBytes = 4 << 20;

// Of one attempt.
inline constexpr std::chrono::hours kTransferTimeout{24};

// Called after each chunk with the bytes that the far end has or is being sent, and those in all;
// by whatever thread, one call at a time.
using TransferCallback = std::function<void(std::uint64_t done, std::uint64_t total)>;
// Another channel to the same coordinator, by a connection of its own. Called by several threads.
using OpenChannel = std::function<std::shared_ptr<grpc::Channel>()>;
// The line to the coordinator.
struct Line {
  OpenChannel open_another;
  std::shared_ptr<RoundTrips> round_trips;
};

// Sends bytes as the blob of their digest, from where the coordinator's copy ends; nothing where it
// has all of it. On a line that is known to be long, by several connections at once, as many as the
// coordinator has room for. task_id: see StatUploadRequest. One attempt: on a transient error call
// again.
Status UploadBlob(const std::shared_ptr<grpc::Channel>& channel, std::span<const std::byte> bytes,
                  const std::string& digest, const std::string& task_id,
                  const std::stop_token& stop, const TransferCallback& on_chunk = {},
                  const Line& line = {});

// Fetches a blob into path, which exists only once its digest is right; a part that an earlier
// attempt left in PATH.DIGEST.part is kept and continued. Nothing where path exists. Beyond
// max_bytes: RESOURCE_EXHAUSTED. DATA_LOSS where the bytes do not have the digest; the part is then
// dropped. One attempt, as above.
Status DownloadBlob(const std::shared_ptr<grpc::Channel>& channel, const std::string& digest,
                    const std::filesystem::path& path, std::uint64_t max_bytes,
                    const std::stop_token& stop, const TransferCallback& on_chunk = {});

// Fetches a blob into memory. `bytes` is empty at first, keeps what came when an attempt breaks
// off, and is continued by the next. Where it lasts on a slow line, or breaks off, what came is
// also written to the file `part` until all is there, so that a process that dies is continued by
// the next one; where that cannot be written, it is done without. Room for max_bytes, or 1 GiB if
// that is less, is made at once (it is memory once bytes come); more is taken as they come. Beyond
// max_bytes: RESOURCE_EXHAUSTED. DATA_LOSS as above; `bytes` is then empty.
Status DownloadBlob(const std::shared_ptr<grpc::Channel>& channel, const std::string& digest,
                    std::uint64_t max_bytes, std::string& bytes, const std::filesystem::path& part,
                    const std::stop_token& stop, const TransferCallback& on_chunk = {});

}  // namespace consilium
