#pragma once

// The fuzzers' input: bytes from outside.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace consilium::fuzz {

inline std::string_view AsText(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// A broken promise of the code under test, which is not one of the errors that it may give.
inline void Require(bool promise) {
  if (!promise) __builtin_trap();
}

}  // namespace consilium::fuzz
