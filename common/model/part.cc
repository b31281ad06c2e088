#include "common/model/part.h"

#include <algorithm>

namespace consilium {

TensorMask Inverse(TensorMask mask) {
  mask.flip();
  return mask;
}

std::shared_ptr<const Layout> PartOf(const Layout& layout, const TensorMask& mask) {
  std::vector<TensorSpec> tensors;
  for (std::size_t t = 0; t < mask.size(); ++t) {
    if (mask[t]) tensors.push_back(layout.tensors()[t]);
  }
  return *Layout::Create(std::move(tensors));  // part of a layout that was checked
}

ModelState PartOf(const ModelState& state, const TensorMask& mask) {
  ModelState part(PartOf(*state.layout, mask));
  auto next = part.values.begin();
  for (std::size_t t = 0; t < mask.size(); ++t) {
    if (mask[t]) next = std::ranges::copy(state.tensor(t), next).out;
  }
  return part;
}

Status PutPart(const ModelState& part, const TensorMask& mask, ModelState& state) {
  CSL_RETURN_IF_ERROR(CheckSameLayout(*PartOf(*state.layout, mask), *part.layout));
  std::size_t at = 0;
  for (std::size_t t = 0; t < mask.size(); ++t) {
    if (mask[t]) std::ranges::copy(part.tensor(at++), state.tensor(t).begin());
  }
  return OkStatus();
}

std::vector<std::size_t> PlacesWithout(const Layout& layout, const TensorMask& left_out) {
  std::vector<std::size_t> places;
  std::size_t next = 0;
  for (std::size_t t = 0; t < layout.tensors().size(); ++t) {
    places.push_back(left_out[t] ? kNowhere : next);
    if (!left_out[t]) next += layout.tensors()[t].NumElements();
  }
  return places;
}

std::vector<TensorPart> TensorsIn(const Layout& layout, std::size_t begin, std::size_t end,
                                  std::span<const std::size_t> places) {
  std::vector<TensorPart> parts;
  for (std::size_t t = 0; t < layout.tensors().size(); ++t) {
    const std::size_t offset = layout.offset(t);
    TensorPart part{.tensor = t,
                    .begin = std::max(begin, offset),
                    .end = std::min(end, offset + layout.tensors()[t].NumElements())};
    if (part.begin >= part.end) continue;
    const std::size_t place = places.empty() ? offset : places[t];
    part.place = place == kNowhere ? kNowhere : place + (part.begin - offset);
    parts.push_back(part);
  }
  return parts;
}

}  // namespace consilium
