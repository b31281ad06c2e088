#pragma once

// Chunks of a blob on the wire: messages that have nothing but the field `data`, made and read
// without the copies of it that a message object makes.

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "common/base/status.h"

namespace consilium {

// Small enough that a chunk stays in a core's cache between decryption, digest and file.
inline constexpr std::size_t kChunkBytes = std::size_t{256} << 10;

// A message whose field of that number is the data, which are not copied: `owner` keeps them until
// gRPC has sent them.
grpc::ByteBuffer EncodeChunk(int field, std::span<const std::byte> data,
                             std::shared_ptr<const void> owner);
// The same with a copy of the data, which may go once this returns.
grpc::ByteBuffer EncodeChunk(int field, std::span<const std::byte> data);

// The data of such a message, in the pieces in which they came.
struct Chunk {
  std::vector<grpc::Slice> slices;  // which hold the pieces
  std::vector<std::span<const std::byte>> pieces;
  std::size_t bytes = 0;  // in all
};
// INVALID_ARGUMENT for a message that is anything else, or without data.
StatusOr<Chunk> ParseChunk(int field, const grpc::ByteBuffer& message);

}  // namespace consilium
