#pragma once

// A message of one field of bytes, a chunk, as it goes over the wire: the field's tag, its length,
// then the bytes.

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace consilium {

inline constexpr std::size_t kMaxEnvelope = 11;  // a tag and the longest length

constexpr unsigned char TagOf(int field) { return static_cast<unsigned char>((field << 3) | 2); }

// Where the data begin in a message that lies in slices, cut anywhere; 0 where it is anything but
// the field, once and alone, as every writer writes it.
inline std::size_t FindData(std::span<const grpc::Slice> slices, int field) {
  std::array<std::uint8_t, kMaxEnvelope> first{};
  std::size_t held = 0;
  std::size_t message = 0;
  for (const grpc::Slice& slice : slices) {
    const std::size_t count = std::min(slice.size(), first.size() - held);
    std::copy_n(slice.begin(), count, first.begin() + static_cast<std::ptrdiff_t>(held));
    held += count;
    message += slice.size();
  }
  if (held == 0 || first[0] != TagOf(field)) return 0;
  std::uint64_t size = 0;
  for (std::size_t i = 1; i < held; ++i) {
    size |= static_cast<std::uint64_t>(first[i] & 0x7f) << (7 * (i - 1));
    if ((first[i] & 0x80) == 0) return size == message - (i + 1) ? i + 1 : 0;
  }
  return 0;
}

}  // namespace consilium
