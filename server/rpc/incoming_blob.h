#pragma once

// A blob on its way in over one stream or several, whose chunks come in turn: the first stream's
// first, the second's, and so on round. They are written and hashed in that order, so what is there
// when it breaks off is the blob's beginning, and at most a chunk of each stream waits in memory.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/mutex.h"
#include "common/base/status.h"
#include "common/rpc/chunk.h"
#include "server/round/arriving_update.h"
#include "server/store/blob_store.h"

namespace consilium {

// Thread-safe.
class IncomingBlob {
 public:
  static constexpr std::size_t kMostStreams = 8;

  // What the streams of one attempt have in common.
  struct Attempt {
    std::string digest;
    std::string owner;
    std::uint64_t size = 0;
    std::uint64_t offset = 0;  // where it goes on
    std::uint64_t number = 0;
    std::size_t streams = 1;  // 1 to kMostStreams

    bool operator==(const Attempt&) const = default;
  };

  // A stream with a chunk.
  class Stream {
   public:
    virtual ~Stream() = default;
    virtual const Chunk& chunk() const = 0;
    // Its call has been cancelled, and Leave will be called or has been.
    virtual bool IsCancelled() const = 0;
    // What the stream waited for: its chunk was taken, or after its end the upload is whole; or the
    // upload is over by an error. Called once for each time that it waits, from any thread; the
    // stream may go once it begins.
    virtual void Resume(const Status& status) = 0;
  };

  explicit IncomingBlob(Attempt attempt)
      : attempt_(std::move(attempt)), places_(attempt_.streams) {}

  // A stream comes in; the first one opens the blob and
  // calls `watch`, for what looks at it as it comes (or null), with what is held of it first.
  // ABORTED where the stream is there already, or where the blob does not go on at the offset.
  using Watch = std::function<std::unique_ptr<ArrivingUpdate>()>;
  Status Join(const BlobStore& blobs, std::size_t stream, const Watch& watch = {});
  // Takes the stream's next chunk and those of others that waited for it. False where it is not its
  // turn: it waits, and Resume will be called, or has been. An error ends the upload for all.
  StatusOr<bool> Take(std::size_t stream, Stream& from);
  // The stream was cancelled: if it waits, that ends the upload for all.
  void Leave(std::size_t stream);
  // A stream has come to its end; with the last one the blob is whole, or the error says what it
  // lacks. False where others have not yet: it waits, as above.
  StatusOr<bool> End(std::size_t stream, Stream& from);

  const Attempt& attempt() const { return attempt_; }
  // It is whole, or an error ended it: another attempt may begin.
  bool IsOver() const { return is_over_; }
  std::uint64_t held_bytes() const;

 private:
  struct Place {
    bool joined = false;
    bool ended = false;
    Stream* waiting = nullptr;
  };
  // Those to be resumed once the lock is released.
  using Waiting = std::vector<Stream*>;

  Status Open(const BlobStore& blobs, const Watch& watch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Status Append(const Chunk& chunk) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // After a chunk or an end: what waits for its turn, and the blob's end.
  void GoOn(Waiting& resumed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // It is over: OK where it is whole.
  void Close(const Status& why, Waiting& resumed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const Attempt attempt_;
  std::atomic<bool> is_over_ =
      false;  // changed under the lock, read by those who do not wait for it
  mutable Mutex mu_;
  std::vector<Place> places_ ABSL_GUARDED_BY(mu_);
  std::size_t turn_ ABSL_GUARDED_BY(mu_) = 0;
  std::optional<BlobUpload> upload_ ABSL_GUARDED_BY(mu_);  // while it is under way
  std::unique_ptr<ArrivingUpdate> watched_ ABSL_GUARDED_BY(mu_);
  std::uint64_t held_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  Status failed_ ABSL_GUARDED_BY(mu_);  // OK also while it is under way
};

}  // namespace consilium
