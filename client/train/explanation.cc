#include "client/train/explanation.h"

#include <torch/torch.h>

#include <algorithm>

#include "client/nn/network_internal.h"
#include "client/train/train_step_internal.h"

namespace consilium {
namespace {

// In the order of ExplanationMethod.
constexpr const char* kNames[] = {"grad-cam", "grad-cam++", "occlusion"};

torch::Tensor Column(const torch::Device& device, std::span<const std::int64_t> classes) {
  return torch::tensor(std::vector<std::int64_t>(classes.begin(), classes.end()))
      .to(device)
      .unsqueeze(1);
}

// How much each place of each feature map counts by itself, from the score's gradient there. Those
// of exp(score) of second and third order are powers of it, and exp(score) cancels.
torch::Tensor PlaceWeights(const torch::Tensor& gradient, const torch::Tensor& features) {
  const torch::Tensor square = gradient * gradient;
  const torch::Tensor cube = square * gradient;
  const torch::Tensor denominator = 2 * square + features.sum({2, 3}, /*keepdim=*/true) * cube;
  return torch::where(
      denominator == 0, torch::zeros_like(square),
      square / torch::where(denominator == 0, torch::ones_like(denominator), denominator));
}

// N x 1 x h x w, at the size of the feature maps.
torch::Tensor ActivationMap(const Network::Impl& impl, const Batch& batch,
                            std::span<const std::int64_t> classes, ExplanationMethod method) {
  torch::Tensor features;
  {
    const torch::NoGradGuard no_grad;
    features = impl.module->Features(ImagesOn(impl.device, batch));
  }
  features = features.detach().requires_grad_();
  const torch::Tensor score =
      impl.module->ScoresOf(features).gather(1, Column(impl.device, classes)).sum();
  const torch::Tensor gradient = torch::autograd::grad({score}, {features})[0];
  const torch::NoGradGuard no_grad;
  const torch::Tensor weights =
      method == ExplanationMethod::kGradCam
          ? gradient.mean({2, 3}, /*keepdim=*/true)
          : (PlaceWeights(gradient, features) * gradient.relu()).sum({2, 3}, /*keepdim=*/true);
  return (weights * features).sum(1, /*keepdim=*/true).relu();
}

// N x 1 x H x W: the mean fall of the log-odds over the squares that cover a place.
StatusOr<torch::Tensor> OcclusionMap(const Network::Impl& impl, const Batch& batch,
                                     std::span<const std::int64_t> classes,
                                     const std::stop_token& stop) {
  const torch::NoGradGuard no_grad;
  const torch::Tensor images = ImagesOn(impl.device, batch);
  const torch::Tensor column = Column(impl.device, classes);
  // Of the class against all others: unlike its probability they still fall where that is near 1.
  const auto log_odds = [&](const torch::Tensor& seen) {
    const torch::Tensor scores = impl.module->Forward(seen);
    const torch::Tensor others = scores.scatter(1, column, -INFINITY).logsumexp(1, true);
    return (scores.gather(1, column) - others).view({-1, 1, 1, 1});
  };
  const torch::Tensor whole = log_odds(images);
  torch::Tensor falls =
      torch::zeros({images.size(0), 1, batch.height, batch.width}, whole.options());
  torch::Tensor covered = torch::zeros_like(falls);
  const int side = std::max(2, std::min(batch.height, batch.width) / 8);
  const int stride = side / 2;
  for (int y = 0; y < batch.height + stride; y += stride) {
    if (stop.stop_requested()) return Cancelled("the explanation was stopped");
    for (int x = 0; x < batch.width + stride; x += stride) {
      // At the border squares are smaller, so that every place is covered equally often.
      const auto square = [&](const torch::Tensor& of) {
        return of.slice(2, std::max(0, y - stride), std::min(batch.height, y + stride))
            .slice(3, std::max(0, x - stride), std::min(batch.width, x + stride));
      };
      const torch::Tensor seen = images.clone();
      square(seen).zero_();  // the mean: images are normalised
      square(falls).add_((whole - log_odds(seen)).clamp_min(0));
      square(covered).add_(1);
    }
  }
  const torch::Tensor map = falls / covered.clamp_min(1);
  // What is lost in the arithmetic would be all there is to see where nothing is lost otherwise.
  constexpr double kNegligible = 1e-2;
  return torch::where(map.amax({2, 3}, /*keepdim=*/true) < kNegligible, torch::zeros_like(map),
                      map);
}

}  // namespace

std::vector<std::string> ExplanationMethods() { return {std::begin(kNames), std::end(kNames)}; }

StatusOr<ExplanationMethod> ParseExplanationMethod(const std::string& name) {
  const auto* found = std::find(std::begin(kNames), std::end(kNames), name);
  if (found == std::end(kNames)) {
    return InvalidArgument("no method '{}'; there are {}", name, fmt::join(kNames, ", "));
  }
  return static_cast<ExplanationMethod>(found - std::begin(kNames));
}

StatusOr<std::vector<float>> Explain(Network& network, const Batch& batch,
                                     std::span<const std::int64_t> classes,
                                     ExplanationMethod method, const std::stop_token& stop) {
  const auto explain = [&]() -> StatusOr<std::vector<float>> {
    Network::Impl& impl = network.impl();
    impl.module->eval();
    torch::Tensor map;
    if (method == ExplanationMethod::kOcclusion) {
      CSL_ASSIGN_OR_RETURN(map, OcclusionMap(impl, batch, classes, stop));
    } else {
      map = ActivationMap(impl, batch, classes, method);
    }
    const torch::NoGradGuard no_grad;
    const torch::Tensor grown = torch::nn::functional::interpolate(
        map, torch::nn::functional::InterpolateFuncOptions()
                 .size(std::vector<std::int64_t>{batch.height, batch.width})
                 .mode(torch::kBilinear)
                 .align_corners(false));
    const torch::Tensor greatest = grown.amax({2, 3}, /*keepdim=*/true).clamp_min(1e-12);
    const torch::Tensor scaled = (grown / greatest).to(torch::kFloat32).cpu().contiguous();
    return std::vector<float>(scaled.data_ptr<float>(), scaled.data_ptr<float>() + scaled.numel());
  };
  auto explained = CatchAsStatus("explaining", explain);
  if (!explained.ok()) return explained.status();
  return *std::move(explained);
}

}  // namespace consilium
