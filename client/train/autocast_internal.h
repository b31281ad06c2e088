#pragma once

// Mixed precision, in the words of each LibTorch: the one place that knows the difference.

#include <ATen/autocast_mode.h>
#include <torch/torch.h>
#include <torch/version.h>

#include "client/nn/network_internal.h"

namespace consilium {

// bfloat16 where it is safe, for as long as this lives, where the network has mixed precision.
class Autocast {
 public:
  explicit Autocast(const Network::Impl& network)
      : active_(network.mixed_precision), is_cuda_(network.device.is_cuda()) {
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
  void Set(bool on) const {
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
    const auto device = is_cuda_ ? at::kCUDA : at::kCPU;
    at::autocast::set_autocast_dtype(device, at::kBFloat16);
    at::autocast::set_autocast_enabled(device, on);
#else
    if (is_cuda_) {
      at::autocast::set_autocast_gpu_dtype(at::kBFloat16);
      at::autocast::set_enabled(on);
    } else {
      at::autocast::set_autocast_cpu_dtype(at::kBFloat16);
      at::autocast::set_cpu_enabled(on);
    }
#endif
  }

  const bool active_;
  const bool is_cuda_;
};

}  // namespace consilium
