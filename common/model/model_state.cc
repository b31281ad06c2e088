#include "common/model/model_state.h"

#include <bit>
#include <cmath>

#include "common/model/part.h"

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
                    std::span<const float> after, std::span<const std::size_t> places) {
  double sum = 0;
  for (std::size_t t = 0; t < layout.tensors().size(); ++t) {
    const TensorSpec& tensor = layout.tensors()[t];
    const std::size_t place = places.empty() ? layout.offset(t) : places[t];
    if (tensor.role != TensorRole::kParameter || place == kNowhere) continue;
    const std::span<const float> old = before.subspan(layout.offset(t), tensor.NumElements());
    for (std::size_t i = 0; i < old.size(); ++i) {
      const double change = static_cast<double>(after[place + i]) - static_cast<double>(old[i]);
      sum += change * change;
    }
  }
  return std::sqrt(sum);
}

}  // namespace consilium
