#include "client/train/numbers_internal.h"

namespace consilium {

std::vector<float> NumbersOf(const std::vector<torch::Tensor>& tensors) {
  std::vector<float> numbers;
  for (const torch::Tensor& tensor : tensors) {
    const torch::Tensor flat = tensor.cpu().contiguous();
    numbers.insert(numbers.end(), flat.data_ptr<float>(), flat.data_ptr<float>() + flat.numel());
  }
  return numbers;
}

Status PutNumbers(std::span<const float> numbers, std::string_view what,
                  std::vector<torch::Tensor>& tensors) {
  std::size_t size = 0;
  for (const torch::Tensor& tensor : tensors) size += static_cast<std::size_t>(tensor.numel());
  if (numbers.size() != size) {
    return InvalidArgument("{} of {} numbers, want {}", what, numbers.size(), size);
  }
  const torch::NoGradGuard no_grad;
  const float* next = numbers.data();
  for (torch::Tensor& tensor : tensors) {
    tensor.copy_(torch::from_blob(const_cast<float*>(next), tensor.sizes(), torch::kFloat32));
    next += tensor.numel();
  }
  return OkStatus();
}

}  // namespace consilium
