#include "common/model/local_part.h"

#include <algorithm>

#include "common/model/part.h"

namespace consilium {
namespace {

TensorMask LocalTensorsOf(const Layout& layout) {
  TensorMask mask;
  for (const TensorSpec& tensor : layout.tensors()) {
    mask.push_back(tensor.role == TensorRole::kLocal);
  }
  return mask;
}

}  // namespace

bool HasLocalPart(const Layout& layout) {
  return std::ranges::count(LocalTensorsOf(layout), true) > 0;
}

ModelState LocalPart(const ModelState& state) {
  return PartOf(state, LocalTensorsOf(*state.layout));
}

Status PutLocalPart(const ModelState& part, ModelState& state) {
  return PutPart(part, LocalTensorsOf(*state.layout), state);
}

}  // namespace consilium
