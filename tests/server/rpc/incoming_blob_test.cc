// A blob whose chunks come over several streams, in whatever order the network brings them.

#include "server/rpc/incoming_blob.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <thread>

#include "common/crypto/digest.h"
#include "server/admission/admission.h"
#include "tests/testing/small_model.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using testing::IsOk;
using testing::StatusIs;

constexpr std::size_t kChunk = 1000;

Chunk ChunkOf(std::string_view data) {
  Chunk chunk;
  chunk.slices.emplace_back(data.data(), data.size());
  const auto& slice = chunk.slices.back();
  chunk.pieces.push_back(std::as_bytes(std::span(slice.begin(), slice.size())));
  chunk.bytes = data.size();
  return chunk;
}

MATCHER_P(Gives, value, "") {
  *result_listener << arg.status();
  return arg.ok() && *arg == value;
}

// One end of a stream whose chunks are at hand.
class FakeStream : public IncomingBlob::Stream {
 public:
  FakeStream(IncomingBlob& blob, std::size_t place, std::deque<std::string> chunks)
      : blob_(blob), place_(place), chunks_(std::move(chunks)) {}

  const Chunk& chunk() const override { return chunk_; }
  bool IsCancelled() const override { return is_cancelled; }
  void Resume(const Status& taken) override { resumed.push_back(taken); }

  StatusOr<bool> End() { return blob_.End(place_, *this); }
  StatusOr<bool> Send() {
    chunk_ = ChunkOf(chunks_.front());
    chunks_.pop_front();
    return blob_.Take(place_, *this);
  }
  bool HasMore() const { return !chunks_.empty(); }

  bool is_cancelled = false;
  std::vector<Status> resumed;

 private:
  IncomingBlob& blob_;
  const std::size_t place_;
  std::deque<std::string> chunks_;
  Chunk chunk_;
};

class IncomingBlobTest : public ::testing::Test {
 protected:
  IncomingBlob::Attempt AttemptBy(std::size_t streams, std::uint64_t offset = 0) const {
    return {.digest = digest_,
            .owner = "run-1.1.north",
            .size = bytes_.size(),
            .offset = offset,
            .number = 7,
            .streams = streams};
  }
  // What a stream brings of the bytes from the offset on.
  std::deque<std::string> ChunksOf(std::size_t stream, std::size_t streams) const {
    std::deque<std::string> chunks;
    for (std::size_t i = stream; i * kChunk < bytes_.size(); i += streams) {
      chunks.push_back(bytes_.substr(i * kChunk, kChunk));
    }
    return chunks;
  }
  BlobStore::Held Held() const { return blobs_->HeldOf(digest_, "run-1.1.north"); }

  testing::TempFolder folder_;
  StatusOr<BlobStore> blobs_ = BlobStore::Open(folder_.path());
  const std::string bytes_ = [] {
    std::string bytes(10 * kChunk + 321, '\0');
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7 + i / 251);
    return bytes;
  }();
  const std::string digest_ = Sha256Of(bytes_);
};

TEST_F(IncomingBlobTest, ChunksAreTakenInTurnWhateverStreamBringsThemFirst) {
  IncomingBlob blob(AttemptBy(3));
  std::deque<FakeStream> streams;
  for (std::size_t i = 0; i < 3; ++i) {
    ASSERT_THAT(blob.Join(*blobs_, i), IsOk());
    streams.emplace_back(blob, i, ChunksOf(i, 3));
  }
  EXPECT_THAT(streams[2].Send(), Gives(false));
  EXPECT_THAT(streams[1].Send(), Gives(false));
  EXPECT_EQ(blob.held_bytes(), 0U);
  EXPECT_THAT(streams[0].Send(), Gives(true));
  EXPECT_EQ(blob.held_bytes(), 3 * kChunk);
  EXPECT_THAT(streams[1].resumed, ::testing::ElementsAre(IsOk()));
  EXPECT_THAT(streams[2].resumed, ::testing::ElementsAre(IsOk()));
  for (std::size_t i = 0; streams[i].HasMore(); i = (i + 1) % 3) {
    ASSERT_THAT(streams[i].Send(), Gives(true));
  }
  EXPECT_FALSE(blob.IsOver());
  for (const std::size_t i : {1, 0}) {
    streams[i].resumed.clear();
    EXPECT_THAT(streams[i].End(), Gives(false));
  }
  EXPECT_THAT(streams[2].End(), Gives(true));
  for (const std::size_t i : {1, 0}) {
    EXPECT_THAT(streams[i].resumed, ::testing::ElementsAre(IsOk()));
  }
  EXPECT_TRUE(blob.IsOver());
  EXPECT_TRUE(Held().whole);
}

TEST_F(IncomingBlobTest, StreamThatEndsWhenItIsItsTurnEndsTheUploadWithItsBeginningKept) {
  IncomingBlob blob(AttemptBy(2));
  ASSERT_THAT(blob.Join(*blobs_, 0), IsOk());
  ASSERT_THAT(blob.Join(*blobs_, 1), IsOk());
  FakeStream first(blob, 0, ChunksOf(0, 2));
  FakeStream second(blob, 1, ChunksOf(1, 2));
  EXPECT_THAT(first.Send(), Gives(true));
  EXPECT_THAT(first.Send(), Gives(false));
  EXPECT_THAT(second.End(), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(first.resumed, ::testing::ElementsAre(StatusIs(absl::StatusCode::kUnavailable)));
  EXPECT_TRUE(blob.IsOver());
  EXPECT_THAT(second.Send(), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(Held().bytes, kChunk);
  EXPECT_FALSE(Held().whole);

  // The next attempt goes on there, and with another number of streams.
  IncomingBlob again(AttemptBy(1, kChunk));
  ASSERT_THAT(again.Join(*blobs_, 0), IsOk());
  FakeStream rest(again, 0, {bytes_.substr(kChunk)});
  EXPECT_THAT(rest.Send(), Gives(true));
  EXPECT_THAT(rest.End(), Gives(true));
  EXPECT_TRUE(Held().whole);
}

TEST_F(IncomingBlobTest, CancelledStreamThatWaitsEndsTheUpload) {
  IncomingBlob blob(AttemptBy(3));
  for (std::size_t i = 0; i < 3; ++i) ASSERT_THAT(blob.Join(*blobs_, i), IsOk());
  FakeStream second(blob, 1, ChunksOf(1, 3));
  FakeStream third(blob, 2, ChunksOf(2, 3));
  EXPECT_THAT(second.Send(), Gives(false));
  EXPECT_THAT(third.Send(), Gives(false));
  blob.Leave(1);
  EXPECT_THAT(second.resumed, ::testing::ElementsAre(StatusIs(absl::StatusCode::kUnavailable)));
  EXPECT_THAT(third.resumed, ::testing::ElementsAre(StatusIs(absl::StatusCode::kUnavailable)));
  blob.Leave(1);  // once is enough
  EXPECT_EQ(second.resumed.size(), 1U);

  // The same where it was cancelled before it could wait.
  IncomingBlob other(AttemptBy(2));
  for (std::size_t i = 0; i < 2; ++i) ASSERT_THAT(other.Join(*blobs_, i), IsOk());
  FakeStream cancelled(other, 1, ChunksOf(1, 2));
  cancelled.is_cancelled = true;
  EXPECT_THAT(cancelled.Send(), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_TRUE(other.IsOver());

  // And where it has sent all of its own, and is cancelled before the others have.
  IncomingBlob third_blob(AttemptBy(2));
  for (std::size_t i = 0; i < 2; ++i) ASSERT_THAT(third_blob.Join(*blobs_, i), IsOk());
  FakeStream ended(third_blob, 1, {});
  EXPECT_THAT(ended.End(), Gives(false));
  third_blob.Leave(1);
  EXPECT_THAT(ended.resumed, ::testing::ElementsAre(StatusIs(absl::StatusCode::kUnavailable)));
}

// A stream without a share of what is left may come, and end, before all others.
TEST_F(IncomingBlobTest, IsWholeOnceEveryStreamHasComeAndEnded) {
  IncomingBlob blob(AttemptBy(2));
  ASSERT_THAT(blob.Join(*blobs_, 1), IsOk());
  FakeStream second(blob, 1, {});
  EXPECT_THAT(second.End(), Gives(false));
  ASSERT_THAT(blob.Join(*blobs_, 0), IsOk());
  FakeStream first(blob, 0, {bytes_});
  EXPECT_THAT(first.Send(), Gives(true));
  EXPECT_TRUE(second.resumed.empty());
  EXPECT_THAT(first.End(), Gives(true));
  EXPECT_THAT(second.resumed, ::testing::ElementsAre(IsOk()));
  EXPECT_TRUE(Held().whole);
}

TEST_F(IncomingBlobTest, WhatDoesNotBelongToItIsRefused) {
  {
    IncomingBlob blob(AttemptBy(2));
    ASSERT_THAT(blob.Join(*blobs_, 0), IsOk());
    EXPECT_THAT(blob.Join(*blobs_, 0), StatusIs(absl::StatusCode::kAborted));
    FakeStream longer(blob, 0, {bytes_ + "x"});
    EXPECT_THAT(longer.Send(), StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(blob.Join(*blobs_, 1), StatusIs(absl::StatusCode::kInvalidArgument));
  }
  {
    IncomingBlob blob(AttemptBy(1, 17));
    EXPECT_THAT(blob.Join(*blobs_, 0), StatusIs(absl::StatusCode::kAborted));
  }
  IncomingBlob blob(AttemptBy(1));
  ASSERT_THAT(blob.Join(*blobs_, 0), IsOk());
  FakeStream other(blob, 0, {std::string(bytes_.size(), 'x')});
  EXPECT_THAT(other.Send(), Gives(true));
  EXPECT_THAT(other.End(), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_EQ(Held().bytes, 0U);
}

// What looks at an update as it comes sees its bytes in their order, whatever stream brought them.
TEST_F(IncomingBlobTest, UpdateIsInspectedWhileItComes) {
  const ModelState base = testing::RandomState(*Layout::Create({{"w", {5000}}}), 1);
  const std::string base_file = testing::EncodeFile({.spec = testing::SmallSpec()}, base);
  const std::string update = testing::EncodeFile(
      {.spec = testing::SmallSpec(), .provenance = {.run = "run-1", .round = 1}},
      testing::RandomState(base.layout, 2));
  const auto inspected = std::make_shared<InspectedUpdates>();
  int watches = 0;
  const auto watch = [&] {
    ++watches;
    return std::make_unique<ArrivingUpdate>(
        *UpdateInspection::Begin(AsBytes(base_file), nullptr, {.run = "run-1", .round = 1},
                                 update.size()),
        inspected, "run-1.1.north", Sha256Of(update));
  };
  const IncomingBlob::Attempt attempt{
      .digest = Sha256Of(update), .owner = "run-1.1.north", .size = update.size(), .streams = 2};
  {  // the beginning of it, by an attempt that breaks off
    IncomingBlob::Attempt begun = attempt;
    begun.streams = 1;
    IncomingBlob blob(begun);
    ASSERT_THAT(blob.Join(*blobs_, 0, watch), IsOk());
    FakeStream beginning(blob, 0, {update.substr(0, 3333)});
    EXPECT_THAT(beginning.Send(), Gives(true));
    EXPECT_THAT(beginning.End(), StatusIs(absl::StatusCode::kUnavailable));
  }
  IncomingBlob::Attempt rest = attempt;
  rest.offset = 3333;
  IncomingBlob blob(rest);
  for (const std::size_t place : {1, 0}) ASSERT_THAT(blob.Join(*blobs_, place, watch), IsOk());
  EXPECT_EQ(watches, 2);
  FakeStream second(blob, 1, {update.substr(7001)});
  FakeStream first(blob, 0, {update.substr(3333, 7001 - 3333)});
  EXPECT_THAT(second.Send(), Gives(false));
  EXPECT_THAT(first.Send(), Gives(true));
  EXPECT_THAT(first.End(), Gives(false));
  EXPECT_FALSE(inspected->NormOf(attempt.owner, attempt.digest).has_value());
  EXPECT_THAT(second.End(), Gives(true));
  EXPECT_EQ(inspected->NormOf(attempt.owner, attempt.digest),
            *CheckUpdate(AsBytes(update), AsBytes(base_file), {.run = "run-1", .round = 1}, 0));
  EXPECT_FALSE(inspected->NormOf(attempt.owner, std::string(64, 'a')).has_value());
}

TEST_F(IncomingBlobTest, StreamsOnThreadsOfTheirOwnMakeTheSameBlob) {
  constexpr std::size_t kStreams = IncomingBlob::kMostStreams;
  // A stream that waits for its turn blocks its thread.
  class Blocking : public IncomingBlob::Stream {
   public:
    const Chunk& chunk() const override { return chunk_; }
    bool IsCancelled() const override { return false; }
    void Resume(const Status& taken) override {
      MutexLock lock(mu_);
      taken_ = taken;
      cv_.notify_one();
    }
    Status Send(IncomingBlob& blob, std::size_t place, std::string_view data) {
      chunk_ = ChunkOf(data);
      return Await(blob.Take(place, *this));
    }
    Status End(IncomingBlob& blob, std::size_t place) { return Await(blob.End(place, *this)); }

   private:
    Status Await(const StatusOr<bool>& taken) {
      CSL_RETURN_IF_ERROR(taken.status());
      if (*taken) return OkStatus();
      MutexLock lock(mu_);
      while (!taken_) cv_.wait(mu_);
      return *std::exchange(taken_, std::nullopt);
    }

    Chunk chunk_;
    Mutex mu_;
    CondVar cv_;
    std::optional<Status> taken_ ABSL_GUARDED_BY(mu_);
  };
  IncomingBlob blob(AttemptBy(kStreams));
  {
    std::vector<std::jthread> threads;
    for (std::size_t s = 0; s < kStreams; ++s) {
      threads.emplace_back([&, s] {
        Blocking stream;
        ASSERT_THAT(blob.Join(*blobs_, s), IsOk());
        for (const std::string& chunk : ChunksOf(s, kStreams)) {
          ASSERT_THAT(stream.Send(blob, s, chunk), IsOk());
        }
        ASSERT_THAT(stream.End(blob, s), IsOk());
      });
    }
  }
  EXPECT_TRUE(Held().whole);
}

}  // namespace
}  // namespace consilium
