#include <gmock/gmock.h>

#include "consilium/v1/blob.pb.h"
#include "server/rpc/chunk_internal.h"

namespace consilium {
namespace {

constexpr int kField = v1::UploadRequest::kDataFieldNumber;

std::vector<grpc::Slice> Cut(const std::string& message, std::vector<std::size_t> at) {
  std::vector<grpc::Slice> slices;
  std::size_t begin = 0;
  at.push_back(message.size());
  for (const std::size_t end : at) {
    slices.emplace_back(message.substr(begin, end - begin));
    begin = end;
  }
  return slices;
}

TEST(Chunk, DataAreFoundWhereverTheMessageIsCut) {
  v1::UploadRequest request;
  request.set_data(std::string(70'000, 'x'));
  const std::string message = request.SerializeAsString();
  const std::size_t begin = message.size() - request.data().size();
  EXPECT_EQ(FindData(Cut(message, {}), kField), begin);
  for (std::size_t first = 0; first < 20; ++first) {
    EXPECT_EQ(FindData(Cut(message, {first}), kField), begin) << first;
    EXPECT_EQ(FindData(Cut(message, {first, first + 1, first + 2}), kField), begin) << first;
  }
}

TEST(Chunk, AnythingElseIsNone) {
  v1::UploadRequest request;
  request.mutable_header()->set_task_id("task");
  EXPECT_EQ(FindData(Cut(request.SerializeAsString(), {}), kField), 0U);
  request.set_data("data");
  const std::string message = request.SerializeAsString();
  EXPECT_EQ(FindData(Cut(message + message, {}), kField), 0U);
  EXPECT_EQ(FindData(Cut(message.substr(0, message.size() - 1), {}), kField), 0U);
  EXPECT_EQ(FindData(Cut("", {}), kField), 0U);
  EXPECT_EQ(FindData(Cut(message.substr(0, 1) + std::string(12, '\xff'), {}), kField), 0U);
}

}  // namespace
}  // namespace consilium
