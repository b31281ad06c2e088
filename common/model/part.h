#pragma once

// Some of a model's tensors, in their order.

#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "common/base/status.h"
#include "common/model/model_state.h"

namespace consilium {

// For each tensor of a layout, whether it is one of them.
using TensorMask = std::vector<bool>;

TensorMask Inverse(TensorMask mask);

std::shared_ptr<const Layout> PartOf(const Layout& layout, const TensorMask& mask);
ModelState PartOf(const ModelState& state, const TensorMask& mask);

// Puts them back in their places. INVALID_ARGUMENT unless `part` has just these tensors; nothing is
// changed then.
Status PutPart(const ModelState& part, const TensorMask& mask, ModelState& state);

// Where each of a layout's tensors begins in the values of the part that lacks those of `left_out`;
// kNowhere for these.
inline constexpr std::size_t kNowhere = std::numeric_limits<std::size_t>::max();
std::vector<std::size_t> PlacesWithout(const Layout& layout, const TensorMask& left_out);

// What of a tensor lies within a range of a layout's elements.
struct TensorPart {
  std::size_t tensor = 0;  // its number in the layout
  std::size_t begin = 0;   // of the layout's elements
  std::size_t end = 0;
  std::size_t place = 0;  // of its first element in a part's values; kNowhere where it is not there

  std::size_t size() const { return end - begin; }
};
// Of all tensors that have elements in [begin, end), in order. `places`: PlacesWithout's; empty:
// as in the layout.
std::vector<TensorPart> TensorsIn(const Layout& layout, std::size_t begin, std::size_t end,
                                  std::span<const std::size_t> places = {});

}  // namespace consilium
