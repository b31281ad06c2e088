#include "client/batch/batch.h"
#include "client/train/pixel_loss_internal.h"

namespace consilium {
namespace {

constexpr double kExtentWeight = 2;
constexpr double kSharpness = 0.2;
constexpr std::int64_t kLung = 1;  // of kTissues

}  // namespace

torch::Tensor PixelLoss(const torch::Tensor& scores, const torch::Tensor& labels) {
  const torch::Tensor log_p = torch::log_softmax(scores, 1);
  const torch::Tensor log_lung = torch::logsumexp(log_p.narrow(1, kLung, 2), 1);
  const torch::Tensor is_known = labels < std::int64_t{kSomeLung};
  const torch::Tensor tissue = labels.clamp_max(std::int64_t{kSomeLung} - 1);
  const torch::Tensor log_own = log_p.gather(1, tissue.unsqueeze(1)).squeeze(1);
  const torch::Tensor by_pixel = -torch::where(is_known, log_own, log_lung).mean();

  const torch::Tensor counts =
      (labels >= std::int64_t{kLungOfExtent}).to(torch::kFloat32);  // for the extent
  const torch::Tensor pixels = counts.sum({1, 2});
  const torch::Tensor at_least_one = pixels.clamp_min(1);
  const torch::Tensor affected = (log_p.select(1, kLung + 1) - log_lung).exp();
  const torch::Tensor wanted = (labels - std::int64_t{kLungOfExtent}).to(torch::kFloat32) / 100;
  const torch::Tensor miss = ((affected - wanted) * counts).sum({1, 2}) / at_least_one;
  const torch::Tensor unsure = (affected * (1 - affected) * counts).sum({1, 2}) / at_least_one;
  const torch::Tensor pictures = (pixels > 0).sum().clamp_min(1);
  return by_pixel + (kExtentWeight * miss.square() + kSharpness * unsure).sum() / pictures;
}

}  // namespace consilium
