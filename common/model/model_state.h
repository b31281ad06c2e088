#pragma once

// A model's numbers: a layout and one flat float32 buffer, tensors in the layout's order, each
// row-major. Aggregation, norms, digests and chunks are single loops over it. Counters are whole
// numbers kept as float32, exact up to 2^24.

#include <memory>
#include <span>
#include <vector>

#include "common/model/layout.h"

namespace consilium {

struct ModelState {
  explicit ModelState(std::shared_ptr<const Layout> the_layout)
      : layout(std::move(the_layout)), values(layout->size()) {}

  // The values of tensor i of the layout.
  std::span<float> tensor(std::size_t i) {
    return std::span(values).subspan(layout->offset(i), layout->tensors()[i].NumElements());
  }
  std::span<const float> tensor(std::size_t i) const {
    return std::span(values).subspan(layout->offset(i), layout->tensors()[i].NumElements());
  }

  std::shared_ptr<const Layout> layout;
  std::vector<float> values;
};

// Whether every value is finite: one pass, no branch per value.
bool AllFinite(std::span<const float> values);

// The sum of the squares of what `after` changes in `before`, of as many values. In float64.
double SquaredChange(std::span<const float> before, std::span<const float> after);
// A norm adds up those of blocks of so many of each tensor's elements, in their order.
inline constexpr std::size_t kNormBlock = 4096;

// The L2 norm of what `after` changes in the parameters of `before`; buffers and counters are not
// counted. In float64, which the sum over finite floats cannot exceed. `places` says where each
// tensor begins in `after` (see part.h; what is nowhere there is unchanged); empty: as in `before`.
double NormOfChange(const Layout& layout, std::span<const float> before,
                    std::span<const float> after, std::span<const std::size_t> places = {});

}  // namespace consilium
