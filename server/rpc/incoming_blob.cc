#include "server/rpc/incoming_blob.h"

#include <algorithm>
#include <utility>

namespace consilium {
namespace {

Status BrokenOff() { return Unavailable("a stream of the upload was cancelled"); }

}  // namespace

Status IncomingBlob::Join(const BlobStore& blobs, std::size_t stream, const Watch& watch) {
  MutexLock lock(mu_);
  if (is_over_) return failed_.ok() ? absl::AbortedError("the upload is over") : failed_;
  if (std::exchange(places_[stream].joined, true)) {
    return absl::AbortedError("this blob is being uploaded on another connection");
  }
  if (upload_) return OkStatus();
  Status opened = Open(blobs, watch);
  Waiting nobody;
  if (!opened.ok()) Close(opened, nobody);
  return opened;
}

Status IncomingBlob::Open(const BlobStore& blobs, const Watch& watch) {
  if (watch) watched_ = watch();
  const auto on_held = [watched = watched_.get()](std::span<const std::byte> held) {
    if (watched != nullptr) watched->Append(held);
  };
  CSL_ASSIGN_OR_RETURN(upload_, blobs.Continue(attempt_.digest, attempt_.owner, on_held));
  held_bytes_ = upload_->size();
  if (held_bytes_ > attempt_.size) {
    return InvalidArgument("{} bytes are held, more than the {} announced now", held_bytes_,
                           attempt_.size);
  }
  if (held_bytes_ == attempt_.offset) return OkStatus();
  return absl::AbortedError(
      fmt::format("{} bytes are held, the upload would go on at {}", held_bytes_, attempt_.offset));
}

StatusOr<bool> IncomingBlob::Take(std::size_t stream, Stream& from) {
  Waiting resumed;
  Status failed;
  {
    MutexLock lock(mu_);
    if (is_over_) return failed_.ok() ? InvalidArgument("the blob was whole before") : failed_;
    const bool is_cancelled = from.IsCancelled();
    if (turn_ != stream && !is_cancelled) {
      places_[stream].waiting = &from;
      return false;
    }
    const Status taken = is_cancelled ? BrokenOff() : Append(from.chunk());
    if (taken.ok()) {
      GoOn(resumed);
    } else {
      Close(taken, resumed);
    }
    failed = failed_;
  }
  for (Stream* other : resumed) other->Resume(failed);
  CSL_RETURN_IF_ERROR(failed);
  return true;
}

void IncomingBlob::Leave(std::size_t stream) {
  Waiting resumed;
  {
    MutexLock lock(mu_);
    if (places_[stream].waiting == nullptr) return;  // its read tells of it
    Close(BrokenOff(), resumed);
  }
  for (Stream* waiting : resumed) waiting->Resume(BrokenOff());
}

StatusOr<bool> IncomingBlob::End(std::size_t stream, Stream& from) {
  Waiting resumed;
  Status failed;
  {
    MutexLock lock(mu_);
    if (!is_over_) {
      places_[stream].ended = true;
      GoOn(resumed);
    }
    if (!is_over_ && !from.IsCancelled()) {
      places_[stream].waiting = &from;
      return false;
    }
    if (!is_over_) Close(BrokenOff(), resumed);
    failed = failed_;
  }
  for (Stream* other : resumed) other->Resume(failed);
  CSL_RETURN_IF_ERROR(failed);
  return true;
}

std::uint64_t IncomingBlob::held_bytes() const {
  MutexLock lock(mu_);
  return held_bytes_;
}

Status IncomingBlob::Append(const Chunk& chunk) {
  if (chunk.bytes > attempt_.size - held_bytes_) {
    return InvalidArgument("more than the {} bytes announced", attempt_.size);
  }
  CSL_RETURN_IF_ERROR(upload_->Append(chunk.pieces));
  if (watched_) {
    for (const auto piece : chunk.pieces) watched_->Append(piece);
  }
  held_bytes_ = upload_->size();
  turn_ = (turn_ + 1) % places_.size();
  return OkStatus();
}

void IncomingBlob::GoOn(Waiting& resumed) {
  while (!places_[turn_].ended && places_[turn_].waiting != nullptr) {
    Stream* next = std::exchange(places_[turn_].waiting, nullptr);
    resumed.push_back(next);
    if (const Status taken = Append(next->chunk()); !taken.ok()) return Close(taken, resumed);
  }
  if (held_bytes_ < attempt_.size) {
    // What is there stays for the next attempt.
    if (!places_[turn_].ended) return;
    return Close(Unavailable("{} of {} bytes came", held_bytes_, attempt_.size), resumed);
  }
  if (!std::ranges::all_of(places_, &Place::ended)) return;
  BlobUpload upload = *std::exchange(upload_, std::nullopt);
  const Status finished = std::move(upload).Finish();
  if (watched_ && finished.ok()) watched_->Finish();
  Close(finished, resumed);
}

void IncomingBlob::Close(const Status& why, Waiting& resumed) {
  is_over_ = true;
  failed_ = why;
  upload_.reset();
  watched_.reset();
  for (Place& place : places_) {
    if (Stream* waiting = std::exchange(place.waiting, nullptr)) resumed.push_back(waiting);
  }
}

}  // namespace consilium
