#include "common/model/model_state.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "common/base/widest.h"
#include "common/model/part.h"

namespace consilium {

namespace {

// Sums of squares that go side by side: element i is in the sum i % kLanes.
constexpr std::size_t kLanes = 16;

CONSILIUM_WIDEST
std::uint32_t CountNotFinite(const float* values, std::size_t count) {
  // Infinity and NaN are the float32 values whose exponent bits are all ones.
  constexpr std::uint32_t kExponent = 0x7f800000;
  std::uint32_t found = 0;
  for (std::size_t i = 0; i < count; ++i) {
    found += (std::bit_cast<std::uint32_t>(values[i]) & kExponent) == kExponent ? 1U : 0U;
  }
  return found;
}

CONSILIUM_WIDEST
double SumOfSquaredChanges(const float* before, const float* after, std::size_t count) {
  double sums[kLanes] = {};
  const std::size_t whole = count - count % kLanes;
  for (std::size_t i = 0; i < whole; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const double change =
          static_cast<double>(after[i + lane]) - static_cast<double>(before[i + lane]);
      sums[lane] += change * change;
    }
  }
  for (std::size_t i = whole; i < count; ++i) {
    const double change = static_cast<double>(after[i]) - static_cast<double>(before[i]);
    sums[i - whole] += change * change;
  }
  double sum = 0;
  for (const double lane : sums) sum += lane;
  return sum;
}

}  // namespace

bool AllFinite(std::span<const float> values) {
  constexpr std::size_t kCounted = std::size_t{1} << 30;  // at a time, within 32 bits
  for (; !values.empty(); values = values.subspan(std::min(kCounted, values.size()))) {
    if (CountNotFinite(values.data(), std::min(kCounted, values.size())) > 0) return false;
  }
  return true;
}

double SquaredChange(std::span<const float> before, std::span<const float> after) {
  return SumOfSquaredChanges(before.data(), after.data(), before.size());
}

double NormOfChange(const Layout& layout, std::span<const float> before,
                    std::span<const float> after, std::span<const std::size_t> places) {
  double sum = 0;
  for (std::size_t t = 0; t < layout.tensors().size(); ++t) {
    const TensorSpec& tensor = layout.tensors()[t];
    const std::size_t place = places.empty() ? layout.offset(t) : places[t];
    if (tensor.role != TensorRole::kParameter || place == kNowhere) continue;
    const auto tensor_before = before.subspan(layout.offset(t), tensor.NumElements());
    const auto tensor_after = after.subspan(place, tensor.NumElements());
    for (std::size_t begin = 0; begin < tensor.NumElements(); begin += kNormBlock) {
      const std::size_t count = std::min(kNormBlock, tensor.NumElements() - begin);
      sum += SquaredChange(tensor_before.subspan(begin, count), tensor_after.subspan(begin, count));
    }
  }
  return std::sqrt(sum);
}

}  // namespace consilium
