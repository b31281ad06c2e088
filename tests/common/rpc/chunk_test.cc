#include "common/rpc/chunk.h"

#include <gtest/gtest.h>

#include "common/base/file.h"
#include "common/rpc/message_bytes.h"
#include "consilium/v1/blob.pb.h"
#include "tests/testing/status_matchers.h"

namespace consilium {
namespace {

using testing::IsOk;
using testing::StatusIs;

constexpr int kField = v1::DownloadResponse::kDataFieldNumber;

grpc::ByteBuffer Join(const std::vector<std::string>& parts) {
  std::vector<grpc::Slice> slices(parts.begin(), parts.end());
  return {slices.data(), slices.size()};
}

std::string Text(const Chunk& chunk) {
  std::string text;
  for (const auto piece : chunk.pieces) {
    text.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  }
  return text;
}

TEST(Chunk, IsTheMessageThatAMessageObjectWouldBe) {
  for (const std::size_t size : {1UL, 127UL, 128UL, 16'384UL, kChunkBytes}) {
    const std::string data(size, 'd');
    ASSERT_OK_AND_ASSIGN(const auto copied,
                         FromByteBuffer<v1::DownloadResponse>(EncodeChunk(kField, AsBytes(data))));
    EXPECT_TRUE(copied.data() == data) << size;
    const auto owner = std::make_shared<const std::string>(data);
    ASSERT_OK_AND_ASSIGN(const auto shared, FromByteBuffer<v1::DownloadResponse>(
                                                EncodeChunk(kField, AsBytes(*owner), owner)));
    EXPECT_TRUE(shared.data() == data) << size;
    v1::DownloadResponse message;
    message.set_data(data);
    ASSERT_OK_AND_ASSIGN(const Chunk chunk, ParseChunk(kField, ToByteBuffer(message)));
    EXPECT_EQ(chunk.bytes, size);
    EXPECT_TRUE(Text(chunk) == data) << size;
  }
}

TEST(Chunk, KeepsItsOwnerUntilItIsSent) {
  auto owner = std::make_shared<const std::string>(1000, 'd');
  const std::weak_ptr<const std::string> watch = owner;
  {
    const std::span<const std::byte> data = AsBytes(*owner);
    const grpc::ByteBuffer message = EncodeChunk(kField, data, std::move(owner));
    EXPECT_FALSE(watch.expired());
  }
  EXPECT_TRUE(watch.expired());
}

TEST(Chunk, IsReadFromPiecesThatBeginAnywhere) {
  const std::string data = std::string(150, 'a') + std::string(150, 'b');
  v1::DownloadResponse message;
  message.set_data(data);
  const std::string bytes = message.SerializeAsString();
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    ASSERT_OK_AND_ASSIGN(const Chunk chunk,
                         ParseChunk(kField, Join({bytes.substr(0, cut), "", bytes.substr(cut)})));
    EXPECT_EQ(Text(chunk), data) << cut;
  }
}

TEST(Chunk, RefusesEveryOtherMessage) {
  v1::UploadRequest of_another_field;
  of_another_field.set_data("some data");
  const std::string endless(12, '\xff');
  v1::DownloadResponse message;
  message.set_data("some data");
  const std::string bytes = message.SerializeAsString();
  for (const std::string& other :
       {std::string(), of_another_field.SerializeAsString(), "\x0a" + endless, std::string("\x0a"),
        std::string("\x0a\x00", 2), bytes.substr(0, bytes.size() - 1), bytes + "x"}) {
    EXPECT_THAT(ParseChunk(kField, Join({other})), StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

}  // namespace
}  // namespace consilium
