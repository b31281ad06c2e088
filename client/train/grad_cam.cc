#include "client/train/grad_cam.h"

#include <torch/torch.h>

#include "client/nn/network_internal.h"
#include "client/train/train_step_internal.h"

namespace consilium {

StatusOr<std::vector<float>> GradCam(Network& network, const Batch& batch,
                                     std::span<const std::int64_t> classes) {
  return CatchAsStatus("explaining", [&] {
    Network::Impl& impl = network.impl();
    impl.module->eval();
    torch::Tensor features;
    {
      const torch::NoGradGuard no_grad;
      features = impl.module->Features(ImagesOn(impl.device, batch));
    }
    features = features.detach().requires_grad_();
    const torch::Tensor chosen =
        torch::tensor(std::vector<std::int64_t>(classes.begin(), classes.end()))
            .to(impl.device)
            .unsqueeze(1);
    const torch::Tensor score = impl.module->ScoresOf(features).gather(1, chosen).sum();
    const torch::Tensor gradient = torch::autograd::grad({score}, {features})[0];
    const torch::NoGradGuard no_grad;
    const torch::Tensor weights = gradient.mean({2, 3}, /*keepdim=*/true);
    const torch::Tensor small = (weights * features).sum(1, /*keepdim=*/true).relu();
    const torch::Tensor map = torch::nn::functional::interpolate(
        small, torch::nn::functional::InterpolateFuncOptions()
                   .size(std::vector<std::int64_t>{batch.height, batch.width})
                   .mode(torch::kBilinear)
                   .align_corners(false));
    const torch::Tensor greatest = map.amax({2, 3}, /*keepdim=*/true).clamp_min(1e-12);
    const torch::Tensor scaled = (map / greatest).to(torch::kFloat32).cpu().contiguous();
    return std::vector<float>(scaled.data_ptr<float>(), scaled.data_ptr<float>() + scaled.numel());
  });
}

}  // namespace consilium
