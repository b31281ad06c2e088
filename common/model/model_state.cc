#include "common/model/model_state.h"

#include <bit>
#include <cmath>

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

double NormOfChange(const Layout& layout, std::span<const float> before,
                    std::span<const float> after) {
  double sum = 0;
  for (std::size_t t = 0; t < layout.tensors().size(); ++t) {
    if (layout.tensors()[t].role != TensorRole::kParameter) continue;
    const std::size_t end = layout.offset(t) + layout.tensors()[t].NumElements();
    for (std::size_t i = layout.offset(t); i < end; ++i) {
      const double change = static_cast<double>(after[i]) - static_cast<double>(before[i]);
      sum += change * change;
    }
  }
  return std::sqrt(sum);
}

}  // namespace consilium
