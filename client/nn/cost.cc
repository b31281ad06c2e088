#include "client/nn/cost.h"

#include <ATen/record_function.h>

#include <string_view>

#include "client/nn/network_internal.h"

namespace consilium {
namespace {

// Of the operations since the counter was set to 0. Callbacks of LibTorch are plain functions.
thread_local std::uint64_t counted_flops = 0;

// aten::convolution(input, weight, bias, stride, padding, dilation, transposed, output_padding,
// groups); the weight is C_out x C_in / groups x kernel height x kernel width.
std::uint64_t FlopsOfConvolution(c10::ArrayRef<const c10::IValue> inputs) {
  const at::Tensor& input = inputs[0].toTensor();
  const at::Tensor& weight = inputs[1].toTensor();
  const auto stride = inputs[3].toIntVector();
  const auto padding = inputs[4].toIntVector();
  const auto dilation = inputs[5].toIntVector();
  std::int64_t places = input.size(0) * weight.size(0);
  for (std::size_t d = 0; d < stride.size(); ++d) {
    const auto axis = static_cast<std::int64_t>(d) + 2;
    const std::int64_t reach = dilation[d] * (weight.size(axis) - 1) + 1;
    places *= (input.size(axis) + 2 * padding[d] - reach) / stride[d] + 1;
  }
  return static_cast<std::uint64_t>(2 * places * weight[0].numel());
}

// aten::linear(input, weight, bias).
std::uint64_t FlopsOfLinear(c10::ArrayRef<const c10::IValue> inputs) {
  const at::Tensor& input = inputs[0].toTensor();
  const at::Tensor& weight = inputs[1].toTensor();
  return static_cast<std::uint64_t>(2 * input.numel() * weight.size(0));
}

std::unique_ptr<at::ObserverContext> CountFlops(const at::RecordFunction& function) {
  const std::string_view name = function.name();
  const auto inputs = function.inputs();
  if (name == "aten::convolution") counted_flops += FlopsOfConvolution(inputs);
  if (name == "aten::linear") counted_flops += FlopsOfLinear(inputs);
  return nullptr;
}

// Counts what this thread does, for as long as it lives.
class Listener {
 public:
  Listener()
      : callback_(at::addThreadLocalCallback(at::RecordFunctionCallback(CountFlops)
                                                 .needsInputs(true)
                                                 .scopes({at::RecordScope::FUNCTION}))) {}
  ~Listener() { at::removeCallback(callback_); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

 private:
  const at::CallbackHandle callback_;
};

}  // namespace

StatusOr<NetworkCost> CostOf(Network& network) {
  return CatchAsStatus("counting operations", [&] {
    Network::Impl& impl = network.impl();
    NetworkCost cost;
    for (const torch::Tensor& tensor : impl.tensors) {
      if (tensor.requires_grad()) cost.parameters += static_cast<std::uint64_t>(tensor.numel());
    }
    const torch::Tensor image =
        torch::zeros({1, impl.spec.channels, impl.spec.input_size, impl.spec.input_size},
                     torch::TensorOptions(impl.device));
    const torch::NoGradGuard no_grad;
    impl.module->eval();
    counted_flops = 0;
    const Listener listener;
    impl.module->Forward(image);
    cost.flops = counted_flops;
    return cost;
  });
}

}  // namespace consilium
