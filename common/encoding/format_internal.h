#pragma once

// What both ends of an encoded update agree on beside update_encoding.h.

#include <bit>
#include <cstdint>
#include <string_view>

namespace consilium::encoding {

static_assert(std::endian::native == std::endian::little);  // numbers lie in files as in memory

inline constexpr std::string_view kMagic = "CSLUPD1\n";
inline constexpr std::size_t kBlock = 256;  // of int8: changes that share a scale
inline constexpr float kSteps = 127;        // of int8, either way

// The upper half of a float32.
inline std::uint16_t ToBfloat16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<std::uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}
inline float FromBfloat16(std::uint16_t half) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(half) << 16);
}

}  // namespace consilium::encoding
