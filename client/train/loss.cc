#include <algorithm>

#include "client/train/loss_internal.h"

namespace consilium {

Loss::Loss(const TrainOptions& options, std::size_t classes, const torch::Device& device)
    : kind_(options.loss), gamma_(options.focal_gamma), smoothing_(options.label_smoothing) {
  if (!options.class_weights.empty()) {
    weights_ = torch::tensor(options.class_weights, torch::kFloat32).to(device);
  }
  if (options.absent_classes.empty()) return;
  std::vector<std::int64_t> present;
  std::vector<std::int64_t> index(classes, -1);
  for (std::size_t c = 0; c < classes; ++c) {
    if (std::ranges::count(options.absent_classes, static_cast<int>(c)) > 0) continue;
    index[c] = static_cast<std::int64_t>(present.size());
    present.push_back(static_cast<std::int64_t>(c));
  }
  present_ = torch::tensor(present).to(device);
  index_ = torch::tensor(index).to(device);
  if (weights_.defined()) weights_ = weights_.index_select(0, present_);
}

torch::Tensor Loss::operator()(torch::Tensor scores, torch::Tensor labels) const {
  if (present_.defined()) {
    scores = scores.index_select(1, present_);
    labels = index_.index_select(0, labels);
  }
  if (kind_ == LossKind::kCrossEntropy) {
    return torch::nn::functional::cross_entropy(
        scores, labels,
        torch::nn::functional::CrossEntropyFuncOptions().weight(weights_).label_smoothing(
            smoothing_));
  }
  const torch::Tensor log_p =
      torch::log_softmax(scores, 1).gather(1, labels.unsqueeze(1)).squeeze(1);
  // 1 - p, exact where p is near 1, and never 0: a power below 1 has no gradient there.
  constexpr double kLeast = 1e-6;
  const torch::Tensor missing = (-torch::expm1(log_p)).clamp_min(kLeast);
  const torch::Tensor losses = -torch::pow(missing, gamma_) * log_p;
  if (!weights_.defined()) return losses.mean();
  const torch::Tensor weights = weights_.index_select(0, labels);
  return (weights * losses).sum() / weights.sum();
}

}  // namespace consilium
