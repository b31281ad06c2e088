#include "client/train/embedding.h"

#include <torch/torch.h>

#include "client/nn/network_internal.h"
#include "client/train/autocast_internal.h"
#include "client/train/train_step_internal.h"

namespace consilium {
namespace {

std::vector<float> ToVector(const torch::Tensor& tensor) {
  const torch::Tensor plain = tensor.to(torch::kFloat32).cpu().contiguous();
  return {plain.data_ptr<float>(), plain.data_ptr<float>() + plain.numel()};
}

}  // namespace

StatusOr<Embedding> Embed(Network& network, const Batch& batch) {
  return CatchAsStatus("embedding", [&] {
    const torch::NoGradGuard no_grad;
    const Network::Impl& impl = network.impl();
    impl.module->eval();
    torch::Tensor maps;
    torch::Tensor scores;
    {
      const Autocast autocast(impl);
      maps = impl.module->Features(ImagesOn(impl.device, batch));
      scores = impl.module->ScoresOf(maps);
    }
    const torch::Tensor means = maps.to(torch::kFloat32).mean({2, 3});
    const torch::Tensor norms = means.norm(2, {1}, /*keepdim=*/true).clamp_min(1e-12);
    return Embedding{.classes = static_cast<int>(scores.size(1)),
                     .width = static_cast<int>(means.size(1)),
                     .logits = ToVector(scores),
                     .features = ToVector(means / norms)};
  });
}

}  // namespace consilium
