#pragma once

// The formats, in LibTorch's terms.

#include <torch/script.h>

#include <string>

#include "client/export/export.h"
#include "client/nn/network.h"

namespace consilium {

// The network as TorchScript: what it does with an image is recorded once. Its modules and tensors
// have the names that they have in the layout. Throws what LibTorch throws.
torch::jit::Module Trace(const Network& network);

// A traced network as an ONNX model, serialised, with `text` in its metadata.
StatusOr<std::string> ToOnnx(const torch::jit::Module& traced, const ModelSpec& spec,
                             const std::string& text);

}  // namespace consilium
