#include "client/train/control_variate.h"

#include <algorithm>

namespace consilium {
namespace {

double At(std::span<const float> values, std::size_t i) { return values.empty() ? 0 : values[i]; }

}  // namespace

std::vector<float> GradientShift(std::span<const float> c, std::span<const float> own) {
  std::vector<float> shift(std::max(c.size(), own.size()));
  for (std::size_t i = 0; i < shift.size(); ++i) {
    shift[i] = static_cast<float>(At(c, i) - At(own, i));
  }
  return shift;
}

ModelState NextControlVariate(const ModelState& before, const ModelState& after,
                              std::span<const float> c, std::span<const float> own, double reach) {
  ModelState next(before.layout);
  for (std::size_t t = 0; t < next.layout->tensors().size(); ++t) {
    if (next.layout->tensors()[t].role != TensorRole::kParameter) continue;
    const std::size_t begin = next.layout->offset(t);
    const std::size_t end = begin + next.layout->tensors()[t].NumElements();
    for (std::size_t i = begin; i < end; ++i) {
      const double change = static_cast<double>(before.values[i]) - after.values[i];
      next.values[i] = static_cast<float>(At(own, i) - At(c, i) + change / reach);
    }
  }
  return next;
}

}  // namespace consilium
