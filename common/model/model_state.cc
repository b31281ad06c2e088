#include "common/model/model_state.h"

#include <bit>

namespace consilium {

bool AllFinite(std::span<const float> values) {
  // Infinity and NaN are the float32 values whose exponent bits are all ones.
  constexpr std::uint32_t kExponent = 0x7f800000;
  std::uint32_t found = 0;
  for (const float value : values) {
    found |= (std::bit_cast<std::uint32_t>(value) & kExponent) == kExponent ? 1U : 0U;
  }
  return found == 0;
}

}  // namespace consilium
