// What a PyTorch checkpoint says of its tensors: a reader of instructions that comes to an end, and
// whose tensors have as many strides as sides.

#include "client/nn/pickle_internal.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace consilium;
  const auto document = pickle::Parse(fuzz::AsText(data, size));
  if (!document.ok()) return 0;
  fuzz::Require(document->root != nullptr);
  for (const pickle::Value& value : document->values) {
    const auto* tensor = std::get_if<pickle::Tensor>(&value.is);
    if (tensor == nullptr) continue;
    fuzz::Require(tensor->offset >= 0 && tensor->shape.size() == tensor->strides.size());
  }
  return 0;
}
