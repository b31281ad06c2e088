// Which calls are cut, on a server whose calls stay open until they are.

#include "server/rpc/open_calls.h"

#include <gmock/gmock.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <atomic>

#include "common/rpc/channel.h"
#include "common/rpc/grpc_status.h"
#include "consilium/v1/blob.grpc.pb.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/status_matchers.h"

namespace consilium {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

constexpr char kMember[] = "north";

// Takes what is sent, and never ends a call by itself.
class Sink final : public v1::BlobService::CallbackService {
 public:
  explicit Sink(OpenCalls& calls) : calls_(calls) {}

  grpc::ServerReadReactor<v1::UploadRequest>* Upload(grpc::CallbackServerContext* context,
                                                     v1::UploadResponse* /*response*/) override {
    return new Reactor(*this, *context);
  }

  // Until so many bytes have come, of all calls.
  void Await(std::uint64_t bytes) const {
    for (std::uint64_t taken = taken_; taken < bytes; taken = taken_) taken_.wait(taken);
  }

 private:
  class Reactor final : public grpc::ServerReadReactor<v1::UploadRequest> {
   public:
    Reactor(Sink& sink, grpc::CallbackServerContext& context)
        : sink_(sink), entry_(sink.calls_, kMember, context) {
      StartRead(&request_);
    }
    void OnReadDone(bool ok) override {
      if (!ok) return Finish(grpc::Status::OK);
      entry_.Moved(request_.data().size());
      sink_.taken_ += request_.data().size();
      sink_.taken_.notify_all();
      StartRead(&request_);
    }
    void OnDone() override { delete this; }

   private:
    Sink& sink_;
    OpenCalls::Entry entry_;
    v1::UploadRequest request_;
  };

  OpenCalls& calls_;
  std::atomic<std::uint64_t> taken_ = 0;
};

// An upload to the sink.
class Upload {
 public:
  Upload(v1::BlobService::Stub& stub, const Sink& sink)
      : sink_(sink),
        context_(std::chrono::minutes(5), {}),
        stream_(stub.Upload(context_.get(), &response_)) {}

  // Until the sink has taken it.
  void Send(std::size_t bytes) {
    v1::UploadRequest part;
    part.set_data(std::string(bytes, 'x'));
    ASSERT_TRUE(stream_->Write(part));
    sink_.Await(sent_ += bytes);
  }
  // How the call ended, which the sender asks for once it is done.
  Status Close() {
    stream_->WritesDone();
    return AwaitEnd();
  }
  Status AwaitEnd() { return FromGrpc(stream_->Finish()); }

 private:
  const Sink& sink_;
  std::uint64_t sent_ = 0;
  v1::UploadResponse response_;
  CallContext context_;
  std::unique_ptr<grpc::ClientWriter<v1::UploadRequest>> stream_;
};

class OpenCallsTest : public ::testing::Test {
 protected:
  OpenCallsTest() {
    grpc::ServerBuilder builder;
    builder.RegisterService(&sink_);
    server_ = builder.BuildAndStart();
    stub_ = v1::BlobService::NewStub(server_->InProcessChannel({}));
  }

  testing::FakeClock clock_;
  OpenCalls calls_;
  Sink sink_{calls_};
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::BlobService::Stub> stub_;
};

TEST_F(OpenCallsTest, TransferThatMovesIsKept) {
  Upload upload(*stub_, sink_);
  for (int window = 0; window < 3; ++window) {
    upload.Send(OpenCalls::kLeastBytes);
    calls_.CutSlow(clock_.Now());
    clock_.Advance(OpenCalls::kWindow);
    calls_.CutSlow(clock_.Now());
  }
  EXPECT_THAT(upload.Close(), IsOk());
}

TEST_F(OpenCallsTest, TransferThatHardlyMovesIsCutAfterAWindow) {
  Upload upload(*stub_, sink_);
  upload.Send(OpenCalls::kLeastBytes / 2);
  calls_.CutSlow(clock_.Now());
  clock_.Advance(OpenCalls::kWindow - std::chrono::seconds(1));
  calls_.CutSlow(clock_.Now());
  upload.Send(1000);  // not yet
  clock_.Advance(std::chrono::seconds(1));
  calls_.CutSlow(clock_.Now());
  EXPECT_THAT(upload.AwaitEnd(), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("hardly")));
}

TEST_F(OpenCallsTest, MembersCallsAreCutAndNobodyElses) {
  Upload upload(*stub_, sink_);
  upload.Send(1);
  calls_.Cut("south");
  upload.Send(1);
  calls_.Cut(kMember);
  EXPECT_THAT(upload.AwaitEnd(), StatusIs(absl::StatusCode::kCancelled));
}

}  // namespace
}  // namespace consilium
