#pragma once

// Tensors as plain numbers, for a training that is kept on a disk.

#include <torch/torch.h>

#include <span>
#include <vector>

#include "common/base/status.h"

namespace consilium {

// The numbers of float32 tensors, one tensor after another, each row-major.
std::vector<float> NumbersOf(const std::vector<torch::Tensor>& tensors);

// Puts them back. INVALID_ARGUMENT, with nothing changed, unless there are as many; `what` they
// are.
Status PutNumbers(std::span<const float> numbers, std::string_view what,
                  std::vector<torch::Tensor>& tensors);

}  // namespace consilium
