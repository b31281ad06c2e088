// Model files up and down: whose they are, and where they go on when they were cut.

#include "server/rpc/blob_service.h"

#include <future>

#include "common/base/file.h"
#include "common/rpc/blob_transfer.h"
#include "common/rpc/chunk.h"
#include "consilium/v1/blob.grpc.pb.h"
#include "tests/server/rpc/server_fixture.h"

namespace consilium {
namespace {

using testing::IsOk;
using testing::LiveServer;
using testing::StatusIs;

using BlobServiceTest = ServerTest;

TEST_F(BlobServiceTest, UploadsAreForTheSitesOwnOpenTask) {
  CoordinatorClient north(server_.Join("north"), {});
  CoordinatorClient south(server_.Join("south"), {});
  Submit();
  ASSERT_OK_AND_ASSIGN(const auto task, north.NextTask(std::chrono::seconds(10)));
  const std::string bytes = "some bytes";
  EXPECT_THAT(south.Upload(AsBytes(bytes), Sha256Of(bytes), task->task_id()), StatusIs(kDenied));
  EXPECT_THAT(north.Upload(AsBytes(bytes), Sha256Of(bytes), "no.such.task"), StatusIs(kDenied));
  v1::ReportTaskRequest report;
  report.set_task_id(task->task_id());
  report.mutable_failure()->set_reason("sabotage");
  EXPECT_THAT(south.ReportTask(report), StatusIs(kDenied));
}

TEST_F(BlobServiceTest, LargeBlobsGoBothWaysAndResume) {
  // An admin's initial model of several chunks, downloaded in two pieces.
  server_.Join("north");
  const auto layout = *Layout::Create({{"w", {1'500'000}}});
  const std::string bytes =
      testing::EncodeFile({.spec = testing::SmallSpec()}, testing::RandomState(layout, 5));
  const std::string digest = Sha256Of(bytes);
  const auto channel = LiveServer::Channel(server_.AdminHome());
  ASSERT_THAT(UploadBlob(channel, AsBytes(bytes), digest, "", {}), IsOk());
  ASSERT_THAT(UploadBlob(channel, AsBytes(bytes), digest, "", {}), IsOk());  // held already
  Submit(digest);
  const auto path = server_.folder() / "pulled";
  ASSERT_THAT(WriteFileAtomically(path.string() + "." + digest.substr(0, 16) + ".part",
                                  bytes.substr(0, 2'345'678)),
              IsOk());
  ASSERT_THAT(DownloadBlob(channel, digest, path, bytes.size(), {}), IsOk());
  EXPECT_EQ(Sha256Of(MappedFile::Open(path)->bytes()), digest);

  // A part that is not of this blob is found out, dropped, and the next attempt is whole.
  std::filesystem::remove(path);
  ASSERT_THAT(
      WriteFileAtomically(path.string() + "." + digest.substr(0, 16) + ".part", "other bytes"),
      IsOk());
  EXPECT_THAT(DownloadBlob(channel, digest, path, bytes.size(), {}),
              StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_THAT(DownloadBlob(channel, digest, path, bytes.size(), {}), IsOk());

  EXPECT_THAT(DownloadBlob(channel, digest, server_.folder() / "larger", bytes.size() - 1, {}),
              StatusIs(absl::StatusCode::kResourceExhausted));

  // The same into memory.
  const auto part = server_.folder() / "memory.part";
  std::string held = bytes.substr(0, 2'345'678);
  EXPECT_THAT(DownloadBlob(channel, digest, bytes.size(), held, part, {}), IsOk());
  EXPECT_TRUE(held == bytes);
  held = "other bytes";
  EXPECT_THAT(DownloadBlob(channel, digest, bytes.size(), held, part, {}),
              StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_EQ(held, "");
  EXPECT_THAT(DownloadBlob(channel, digest, bytes.size() - 1, held, part, {}),
              StatusIs(absl::StatusCode::kResourceExhausted));

  // What a process before this one wrote down of it is not fetched again.
  held.clear();
  ASSERT_THAT(WriteFileAtomically(part, bytes.substr(0, 2'345'678)), IsOk());
  std::uint64_t first = 0;
  const auto on_chunk = [&](std::uint64_t done, std::uint64_t) {
    if (first == 0) first = done;
  };
  EXPECT_THAT(DownloadBlob(channel, digest, bytes.size(), held, part, {}, on_chunk), IsOk());
  EXPECT_TRUE(held == bytes);
  EXPECT_GT(first, 2'345'678U);
  EXPECT_FALSE(std::filesystem::exists(part));

  // What breaks off is written down for it.
  held.clear();
  std::stop_source stop;
  const auto stop_soon = [&](std::uint64_t, std::uint64_t) { stop.request_stop(); };
  EXPECT_THAT(DownloadBlob(channel, digest, bytes.size(), held, part, stop.get_token(), stop_soon),
              StatusIs(absl::StatusCode::kCancelled));
  EXPECT_FALSE(held.empty());
  EXPECT_TRUE(*ReadFile(part) == held);
}

TEST_F(BlobServiceTest, SeveralConnectionsCarryAnUpload) {
  server_.Join("north");
  const auto layout = *Layout::Create({{"w", {1'500'000}}});
  const std::string bytes =
      testing::EncodeFile({.spec = testing::SmallSpec()}, testing::RandomState(layout, 8));
  const std::string digest = Sha256Of(bytes);
  constexpr std::size_t kStreams = 3;
  const auto send = [&](std::size_t place, std::uint64_t attempt) {
    const auto stub = v1::BlobService::NewStub(LiveServer::Channel(server_.AdminHome()));
    CallContext context(kTimeout, {});
    v1::UploadResponse response;
    const auto writer = stub->Upload(context.get(), &response);
    v1::UploadRequest request;
    v1::UploadRequest::Header& header = *request.mutable_header();
    header.mutable_blob()->set_digest(digest);
    header.mutable_blob()->set_size_bytes(bytes.size());
    header.set_stream(static_cast<std::uint32_t>(place));
    header.set_streams(kStreams);
    header.set_attempt(attempt);
    bool open = writer->Write(request);
    for (std::size_t at = place * kChunkBytes; open && at < bytes.size();
         at += kStreams * kChunkBytes) {
      request.set_data(bytes.substr(at, kChunkBytes));
      open = writer->Write(request);
    }
    writer->WritesDone();
    return writer->Finish();
  };
  const auto send_all = [&](std::uint64_t attempt) {
    std::vector<std::future<grpc::Status>> sent;
    for (std::size_t i = 0; i < kStreams; ++i) {
      sent.push_back(std::async(std::launch::async, send, i, attempt));
    }
    std::vector<grpc::StatusCode> codes;
    for (auto& status : sent) codes.push_back(status.get().error_code());
    return codes;
  };
  EXPECT_EQ(send(kStreams, 1).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(send_all(2), ::testing::Each(grpc::StatusCode::OK));
  const auto channel = LiveServer::Channel(server_.AdminHome());
  Submit(digest);
  EXPECT_THAT(DownloadBlob(channel, digest, server_.folder() / "pulled", bytes.size(), {}), IsOk());
}

// On a line of 160 ms, as its calls say, in sizes that give some connections one chunk more than
// others, or none.
TEST_F(BlobServiceTest, LongLinesUploadIsWholeWhateverItsSize) {
  server_.Join("north");
  const Home home = server_.AdminHome();
  const auto channel = LiveServer::Channel(home);
  std::atomic<int> opened = 0;
  const Line line{.open_another =
                      [&] {
                        ++opened;
                        return LiveServer::Channel(home);
                      },
                  .round_trips = std::make_shared<RoundTrips>()};
  for (int call = 0; call < RoundTrips::kEnough; ++call) {
    line.round_trips->Note(std::chrono::milliseconds(160));
  }
  const auto stub = v1::BlobService::NewStub(channel);
  for (const std::size_t size : {3'000'000, 4'800'000, 5'900'000, 9'500'000, 20'000'001}) {
    const std::string bytes(size, static_cast<char>(size / 100'000));
    opened = 0;
    std::uint64_t last = 0;
    const auto on_chunk = [&](std::uint64_t done, std::uint64_t) {
      EXPECT_GT(done, last);
      last = done;
    };
    ASSERT_THAT(UploadBlob(channel, AsBytes(bytes), Sha256Of(bytes), "", {}, on_chunk, line),
                IsOk());
    EXPECT_EQ(last, size);
    EXPECT_EQ(opened, size < 4'000'000 ? 0 : std::min(7, static_cast<int>(size >> 20) - 1)) << size;
    CallContext context(kTimeout, {});
    v1::StatUploadRequest stat;
    stat.mutable_blob()->set_digest(Sha256Of(bytes));
    stat.mutable_blob()->set_size_bytes(size);
    v1::StatUploadResponse held;
    ASSERT_TRUE(stub->StatUpload(context.get(), stat, &held).ok());
    EXPECT_TRUE(held.complete());
  }
}

TEST_F(BlobServiceTest, CancelledStreamLetsTheNextAttemptIn) {
  server_.Join("north");
  const std::string bytes(3 * kChunkBytes, 'b');
  const std::string digest = Sha256Of(bytes);
  const auto channel = LiveServer::Channel(server_.AdminHome());
  v1::UploadRequest request;
  v1::UploadRequest::Header& header = *request.mutable_header();
  header.mutable_blob()->set_digest(digest);
  header.mutable_blob()->set_size_bytes(bytes.size());
  header.set_stream(1);
  header.set_streams(2);
  header.set_attempt(5);
  const auto stub = v1::BlobService::NewStub(channel);
  CallContext context(kTimeout, {});
  v1::UploadResponse response;
  const auto writer = stub->Upload(context.get(), &response);
  ASSERT_TRUE(writer->Write(request));
  request.set_data(bytes.substr(0, kChunkBytes));
  ASSERT_TRUE(writer->Write(request));
  for (int i = 0; i < 2000 && std::filesystem::is_empty(server_.folder() / "s/incoming"); ++i) {
    SleepFor(std::chrono::milliseconds(5), {});
  }
  Status other = UploadBlob(channel, AsBytes(bytes), digest, "", {});
  EXPECT_THAT(other, StatusIs(absl::StatusCode::kAborted));
  context.get()->TryCancel();
  EXPECT_FALSE(writer->Finish().ok());
  for (int tried = 0; tried < 100 && !other.ok(); ++tried) {
    other = UploadBlob(channel, AsBytes(bytes), digest, "", {});
    if (!other.ok()) SleepFor(std::chrono::milliseconds(20), {});
  }
  EXPECT_THAT(other, IsOk());
}

TEST_F(BlobServiceTest, UploadGoesOnWhereItWasCut) {
  server_.Join("north");
  const auto layout = *Layout::Create({{"w", {1'500'000}}});
  const std::string bytes =
      testing::EncodeFile({.spec = testing::SmallSpec()}, testing::RandomState(layout, 6));
  const std::string digest = Sha256Of(bytes);
  const auto channel = LiveServer::Channel(server_.AdminHome());
  const auto stub = v1::BlobService::NewStub(channel);
  v1::StatUploadRequest stat;
  stat.mutable_blob()->set_digest(digest);
  stat.mutable_blob()->set_size_bytes(bytes.size());
  {
    v1::UploadRequest request;
    *request.mutable_header()->mutable_blob() = stat.blob();
    v1::UploadResponse response;
    CallContext context(kTimeout, {});
    const auto writer = stub->Upload(context.get(), &response);
    ASSERT_TRUE(writer->Write(request));
    request.set_data(bytes.substr(0, 1'234'567));
    ASSERT_TRUE(writer->Write(request));
    writer->WritesDone();
    EXPECT_FALSE(writer->Finish().ok());
  }
  const auto held = [&] {
    CallContext context(kTimeout, {});
    v1::StatUploadResponse response;
    EXPECT_TRUE(stub->StatUpload(context.get(), stat, &response).ok());
    return response;
  };
  EXPECT_EQ(held().held_bytes(), 1'234'567U);
  ASSERT_THAT(UploadBlob(channel, AsBytes(bytes), digest, "", {}), IsOk());
  EXPECT_TRUE(held().complete());
  Submit(digest);
  EXPECT_THAT(DownloadBlob(channel, digest, server_.folder() / "pulled", bytes.size(), {}), IsOk());
}

}  // namespace
}  // namespace consilium
