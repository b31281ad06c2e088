#pragma once

// Mixed precision on CUDA, in the words of each LibTorch: the one place that knows the difference.

#include <ATen/autocast_mode.h>
#include <torch/torch.h>
#include <torch/version.h>

namespace consilium {

// bfloat16 where it is safe, for as long as this lives; nothing on a CPU.
class Autocast {
 public:
  explicit Autocast(const torch::Device& device) : active_(device.is_cuda()) {
    if (active_) Set(true);
  }
  ~Autocast() {
    if (!active_) return;
    at::autocast::clear_cache();
    Set(false);
  }
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  static void Set(bool on) {
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
    at::autocast::set_autocast_dtype(at::kCUDA, at::kBFloat16);
    at::autocast::set_autocast_enabled(at::kCUDA, on);
#else
    at::autocast::set_autocast_gpu_dtype(at::kBFloat16);
    at::autocast::set_enabled(on);
#endif
  }

  const bool active_;
};

}  // namespace consilium
