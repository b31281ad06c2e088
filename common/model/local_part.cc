#include "common/model/local_part.h"

#include <algorithm>

namespace consilium {
namespace {

std::shared_ptr<const Layout> LocalLayout(const Layout& layout) {
  std::vector<TensorSpec> local;
  for (const TensorSpec& tensor : layout.tensors()) {
    if (tensor.role == TensorRole::kLocal) local.push_back(tensor);
  }
  return *Layout::Create(std::move(local));  // part of a layout that was checked
}

}  // namespace

bool HasLocalPart(const Layout& layout) {
  return std::ranges::any_of(
      layout.tensors(), [](const TensorSpec& tensor) { return tensor.role == TensorRole::kLocal; });
}

ModelState LocalPart(const ModelState& state) {
  ModelState part(LocalLayout(*state.layout));
  auto next = part.values.begin();
  for (std::size_t t = 0; t < state.layout->tensors().size(); ++t) {
    if (state.layout->tensors()[t].role != TensorRole::kLocal) continue;
    next = std::ranges::copy(state.tensor(t), next).out;
  }
  return part;
}

Status PutLocalPart(const ModelState& part, ModelState& state) {
  CSL_RETURN_IF_ERROR(CheckSameLayout(*LocalLayout(*state.layout), *part.layout));
  std::size_t at = 0;
  for (std::size_t t = 0; t < state.layout->tensors().size(); ++t) {
    if (state.layout->tensors()[t].role != TensorRole::kLocal) continue;
    std::ranges::copy(part.tensor(at++), state.tensor(t).begin());
  }
  return OkStatus();
}

}  // namespace consilium
