#pragma once

// The networks: built by name, their weights in and out as a ModelState.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/model/model_info.h"
#include "common/model/model_state.h"

namespace consilium {

// Architectures, with torchvision's tensor names where torchvision has them:
//   simple_cnn   four Conv-ReLU-MaxPool blocks, dropout, two dense layers
//   resnet18     He et al., CVPR 2016, table 1; resnet50: with bottlenecks
//   resnet18_gn  the same with group norm (32 groups) in place of batch norm, for hospitals that
//                differ (Hsieh et al., ICML 2020, section 5); resnet50_gn
//   densenet121  Huang et al., CVPR 2017, table 1
//   mobilenet_v3_small  Howard et al., ICCV 2019, table 2
//   unet         Ronneberger et al., MICCAI 2015, figure 1, a quarter as wide, with batch norm and
//                padding; what it doubles on the way up it repeats. Labels pixels (see
//                LabelsPixels)
//   vgg16        Simonyan and Zisserman, ICLR 2015, configuration D; vgg16_bn: with batch norm
std::vector<std::string> Architectures();

// A network on a device. Owns its tensors. Movable; not thread-safe.
class Network {
 public:
  // Weights drawn from the seed: He's normal initialisation (ICCV 2015, equation 10, fan-out) for
  // convolutions, uniform within 1/sqrt(fan-in) for dense layers. The same on machines of one kind.
  // INVALID_ARGUMENT for an unknown architecture, with the known ones.
  static StatusOr<Network> Create(const ModelSpec& spec, std::uint64_t seed);
  Network(Network&&) noexcept;
  Network& operator=(Network&&) noexcept;
  ~Network();

  const ModelSpec& spec() const;
  // Names, shapes and roles, in the order of a PyTorch state dict.
  const std::shared_ptr<const Layout>& layout() const;

  // A copy of all tensors.
  ModelState State() const;
  // INVALID_ARGUMENT naming the first tensor that does not fit; nothing is changed then.
  Status Load(const ModelState& state);

  // "cpu", "cuda" or "cuda:1", the second of them. FAILED_PRECONDITION where LibTorch finds no such device. Its arithmetic is
  // then in mixed precision on a GPU, and in float32 on a CPU, unless that is changed.
  Status MoveTo(const std::string& device);
  // Mixed precision: convolutions and products in bfloat16, everything else, and the weights, in
  // float32 (Micikevicius et al., ICLR 2018; Kalamkar et al. 2019).
  void UseMixedPrecision(bool on);

  // What LibTorch sees: for client/train alone.
  struct Impl;
  Impl& impl() const { return *impl_; }

 private:
  explicit Network(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// "cpu" or "cuda" for a setting of "cpu", "cuda" or "auto": the GPU where there is one.
std::string ResolveDevice(const std::string& setting);

// Whether this machine's CPU multiplies in bfloat16; one that does not is slower with it.
bool CpuHasBfloat16();

// Sets LibTorch's threads for arithmetic; 0: all cores.
void SetThreads(int threads);

// The library that matrix products come from.
struct Blas {
  std::string file;      // or "built in"
  bool is_slow = false;  // the reference BLAS
};
Blas FindBlas();

// Two lines: LibTorch's version, threads and device; the library that its matrix products come
// from.
std::string DescribeLibTorch();

}  // namespace consilium
