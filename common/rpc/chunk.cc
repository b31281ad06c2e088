#include "common/rpc/chunk.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace consilium {
namespace {

// In the wire format of Protocol Buffers: a field's number and type, its length, its bytes.
constexpr int kLengthDelimited = 2;
constexpr std::size_t kMostEnvelopeBytes = 11;

unsigned char TagOf(int field) {
  return static_cast<unsigned char>((field << 3) | kLengthDelimited);
}

grpc::Slice EnvelopeOf(int field, std::size_t size) {
  std::array<unsigned char, kMostEnvelopeBytes> envelope{TagOf(field)};
  std::size_t used = 1;
  for (std::size_t rest = size;; rest >>= 7) {
    envelope[used++] = static_cast<unsigned char>((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    if (rest <= 0x7f) break;
  }
  return {envelope.data(), used};
}

// How many bytes stand before the data; 0 if what begins so is no chunk of `total` bytes.
std::size_t EnvelopeBytes(int field, std::span<const unsigned char> begin, std::size_t total) {
  if (begin.empty() || begin[0] != TagOf(field)) return 0;
  std::uint64_t length = 0;
  for (std::size_t i = 1; i < begin.size(); ++i) {
    length |= std::uint64_t{begin[i] & 0x7fU} << (7 * (i - 1));
    if (begin[i] > 0x7f) continue;
    return length > 0 && length == total - (i + 1) ? i + 1 : 0;
  }
  return 0;
}

}  // namespace

grpc::ByteBuffer EncodeChunk(int field, std::span<const std::byte> data,
                             std::shared_ptr<const void> owner) {
  using Owner = std::shared_ptr<const void>;
  const std::array slices = {
      EnvelopeOf(field, data.size()),
      grpc::Slice(
          const_cast<std::byte*>(data.data()), data.size(),
          [](void* held) { delete static_cast<Owner*>(held); }, new Owner(std::move(owner)))};
  return {slices.data(), slices.size()};
}

grpc::ByteBuffer EncodeChunk(int field, std::span<const std::byte> data) {
  const std::array slices = {EnvelopeOf(field, data.size()), grpc::Slice(data.data(), data.size())};
  return {slices.data(), slices.size()};
}

StatusOr<Chunk> ParseChunk(int field, const grpc::ByteBuffer& message) {
  Chunk chunk;
  std::size_t ahead = 0;  // of the data
  if (message.Dump(&chunk.slices).ok()) {
    std::array<unsigned char, kMostEnvelopeBytes> begin{};
    std::size_t held = 0;
    for (const grpc::Slice& slice : chunk.slices) {
      for (std::size_t i = 0; i < slice.size() && held < begin.size(); ++i) {
        begin[held++] = slice.begin()[i];
      }
    }
    ahead = EnvelopeBytes(field, std::span(begin).first(held), message.Length());
  }
  if (ahead == 0) return InvalidArgument("want a chunk of data");
  chunk.bytes = message.Length() - ahead;
  for (const grpc::Slice& slice : chunk.slices) {
    const auto bytes = std::as_bytes(std::span(slice.begin(), slice.size()));
    const std::size_t skipped = std::min(ahead, bytes.size());
    ahead -= skipped;
    if (skipped < bytes.size()) chunk.pieces.push_back(bytes.subspan(skipped));
  }
  return chunk;
}

}  // namespace consilium
