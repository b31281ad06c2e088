#include <algorithm>
#include <chrono>
#include <future>
#include <random>
#include <thread>
#include <vector>

#include "common/base/linked_stop.h"
#include "common/base/mutex.h"
#include "common/rpc/blob_transfer.h"
#include "common/rpc/channel.h"
#include "common/rpc/chunk.h"
#include "common/rpc/message_bytes.h"
#include "common/rpc/raw_stream.h"
#include "common/rpc/unary_call.h"
#include "consilium/v1/blob.grpc.pb.h"

namespace consilium {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::chrono::seconds kControlTimeout{30};

// In a round trip a connection moves little more than the chunk that is being read, however wide
// the line is: what the coordinator lets it send ahead (server/rpc/server.cc). So on a long line
// chunks are longer, and on a longer one an upload goes by several connections, some 400 Mbit/s
// together.
constexpr std::chrono::milliseconds kLongLine{10};  // there and back
constexpr std::chrono::milliseconds kConnectionCarries{20};
constexpr std::size_t kLongChunkBytes = std::size_t{1} << 20;
// But first it is tried with so many bytes on one connection whether the line is wide: a share of a
// narrow one might be slower than the coordinator has patience for.
constexpr std::size_t kTriedBytes = 2 * kChunkBytes;
constexpr std::chrono::seconds kTriedTime{4};               // in which they pass a wide one
constexpr std::size_t kWorthTrying = std::size_t{4} << 20;  // how much must be left
constexpr std::chrono::seconds kConnectTimeout{3};

// An upload on its way: the same for each of its attempts and streams.
struct Upload {
  const std::shared_ptr<grpc::Channel>& channel;
  std::span<const std::byte> bytes;
  v1::StatUploadRequest stat;
  const std::stop_token& stop;
  const TransferCallback& on_chunk;
  const Line& line;
};

// What the coordinator says of it.
StatusOr<v1::StatUploadResponse> Ask(const Upload& upload) {
  return CallUnary(&v1::BlobService::Stub::StatUpload, *v1::BlobService::NewStub(upload.channel),
                   upload.stat, kControlTimeout, upload.stop);
}

bool IsLong(const Line& line) {
  const auto round_trip = line.round_trips ? line.round_trips->Shortest() : std::nullopt;
  return round_trip && *round_trip >= kLongLine;
}

// How many connections a long line is worth for so many bytes, of those that the coordinator
// allows.
std::size_t ConnectionsFor(const Line& line, std::size_t bytes,
                           const v1::StatUploadResponse& held) {
  if (!line.open_another) return 1;
  const auto worth = static_cast<std::size_t>(*line.round_trips->Shortest() / kConnectionCarries);
  const std::size_t chunks = bytes / kLongChunkBytes;
  return std::max<std::size_t>(1, std::min({worth, chunks, std::size_t{held.streams()}}));
}

// One of an attempt's streams, from its header to its end: its share of the bytes' chunks.
Status SendChunks(const std::shared_ptr<grpc::Channel>& channel, const v1::UploadRequest& first,
                  std::span<const std::byte> bytes, std::size_t chunk_bytes,
                  const std::stop_token& stop, const std::function<void(std::size_t)>& on_sent) {
  CallContext context(kTransferTimeout, stop);
  RawStream stream(channel, fmt::format("/{}/Upload", v1::BlobService::service_full_name()),
                   context);
  bool open = stream.Write(ToByteBuffer(first));
  const v1::UploadRequest::Header& header = first.header();
  std::size_t begin = header.offset() + header.stream() * chunk_bytes;
  for (; open && begin < bytes.size(); begin += header.streams() * chunk_bytes) {
    const auto chunk = bytes.subspan(begin, std::min(chunk_bytes, bytes.size() - begin));
    open = stream.Write(EncodeChunk(v1::UploadRequest::kDataFieldNumber, chunk));
    if (open) on_sent(chunk.size());
  }
  if (open) stream.WritesDone();
  grpc::ByteBuffer response;  // how much is held, which the status says better
  stream.Read(response);
  return stream.Finish();
}

// One attempt: the bytes from the offset up to `end`, by a stream on each of the channels.
Status Send(const Upload& upload, std::uint64_t offset, std::size_t end, std::size_t chunk_bytes,
            const std::vector<std::shared_ptr<grpc::Channel>>& channels) {
  v1::UploadRequest::Header header;
  *header.mutable_blob() = upload.stat.blob();
  header.set_task_id(upload.stat.task_id());
  header.set_offset(offset);
  header.set_streams(static_cast<std::uint32_t>(channels.size()));
  header.set_attempt(std::random_device()());
  LinkedStop broken(upload.stop);  // one has failed, and so have all
  Mutex mu;
  std::uint64_t sent = offset;
  Mutex failed_mu;  // not the one that a slow on_chunk holds
  Status failed;
  const auto on_sent = [&](std::size_t count) {
    MutexLock lock(mu);
    sent += count;
    if (upload.on_chunk && !broken.token().stop_requested()) {
      upload.on_chunk(sent, upload.bytes.size());
    }
  };
  const auto send = [&](std::size_t stream) {
    v1::UploadRequest first;
    *first.mutable_header() = header;
    first.mutable_header()->set_stream(static_cast<std::uint32_t>(stream));
    const Status status = SendChunks(channels[stream], first, upload.bytes.first(end), chunk_bytes,
                                     broken.token(), on_sent);
    if (status.ok()) return;
    {
      MutexLock lock(failed_mu);
      if (failed.ok()) failed = status;
    }
    broken.Request();
  };
  {
    std::vector<std::jthread> others;
    for (std::size_t i = 1; i < channels.size(); ++i) others.emplace_back(send, i);
    send(0);
  }
  return failed;
}

// Further channels, as many of them as can be opened.
std::vector<std::shared_ptr<grpc::Channel>> OpenChannels(const OpenChannel& open, std::size_t count,
                                                         const std::stop_token& stop) {
  constexpr std::chrono::milliseconds kSlice{200};  // how late a stop is seen
  const auto connect = [&]() -> std::shared_ptr<grpc::Channel> {
    auto channel = open();
    const auto deadline = SteadyClock::now() + kConnectTimeout;
    while (!stop.stop_requested() && SteadyClock::now() < deadline) {
      if (channel->WaitForConnected(std::chrono::system_clock::now() + kSlice)) return channel;
    }
    return nullptr;
  };
  std::vector<std::future<std::shared_ptr<grpc::Channel>>> connecting;
  for (std::size_t i = 0; i < count; ++i) {
    connecting.push_back(std::async(std::launch::async, connect));
  }
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  for (auto& connected : connecting) {
    if (auto channel = connected.get()) channels.push_back(std::move(channel));
  }
  return channels;
}

}  // namespace

Status UploadBlob(const std::shared_ptr<grpc::Channel>& channel, std::span<const std::byte> bytes,
                  const std::string& digest, const std::string& task_id,
                  const std::stop_token& stop, const TransferCallback& on_chunk, const Line& line) {
  Upload upload{channel, bytes, {}, stop, on_chunk, line};
  upload.stat.mutable_blob()->set_digest(digest);
  upload.stat.mutable_blob()->set_size_bytes(bytes.size());
  upload.stat.set_task_id(task_id);
  CSL_ASSIGN_OR_RETURN(auto answer, Ask(upload));
  if (answer.complete()) return OkStatus();
  const std::size_t held = std::min<std::size_t>(answer.held_bytes(), bytes.size());
  if (!IsLong(line) || bytes.size() - held < kWorthTrying) {
    return Send(upload, held, bytes.size(), kChunkBytes, {channel});
  }

  const auto began = SteadyClock::now();
  const Status tried = Send(upload, held, held + kTriedBytes, kChunkBytes, {channel});
  const bool is_wide = SteadyClock::now() - began < kTriedTime;
  // To the coordinator it is an upload that broke off.
  if (!tried.ok() && !IsTransient(tried)) return tried;
  CSL_ASSIGN_OR_RETURN(answer, Ask(upload));
  const std::size_t begin = held + kTriedBytes;
  if (answer.held_bytes() != begin) return tried;
  if (!is_wide) return Send(upload, begin, bytes.size(), kChunkBytes, {channel});
  const std::size_t wanted = ConnectionsFor(line, bytes.size() - begin, answer);
  auto channels = OpenChannels(line.open_another, wanted - 1, stop);
  channels.push_back(channel);
  const Status sent = Send(upload, begin, bytes.size(), kLongChunkBytes, channels);
  if (channels.size() == 1 || !absl::IsAborted(sent)) return sent;
  // Others were quicker to take the connections.
  return Send(upload, begin, bytes.size(), kLongChunkBytes, {channel});
}

}  // namespace consilium
