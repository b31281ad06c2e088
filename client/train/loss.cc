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
  if (kind_ == LossKind::kCrossEntropy && smoothing_ == 0) {
    return torch::nn::functional::cross_entropy(
        scores, labels, torch::nn::functional::CrossEntropyFuncOptions().weight(weights_));
  }
  const torch::Tensor all_log_p = torch::log_softmax(scores, 1);
  const torch::Tensor log_p = all_log_p.gather(1, labels.unsqueeze(1)).squeeze(1);
  if (kind_ == LossKind::kCrossEntropy) return Smoothed(all_log_p, log_p, labels);
  // 1 - p, exact where p is near 1, and never 0: a power below 1 has no gradient there.
  constexpr double kLeast = 1e-6;
  const torch::Tensor missing = (-torch::expm1(log_p)).clamp_min(kLeast);
  const torch::Tensor losses = -torch::pow(missing, gamma_) * log_p;
  if (!weights_.defined()) return losses.mean();
  const torch::Tensor weights = weights_.index_select(0, labels);
  return (weights * losses).sum() / weights.sum();
}

torch::Tensor Loss::WeightOf(torch::Tensor labels) const {
  if (!weights_.defined()) {
    return torch::full({}, static_cast<double>(labels.size(0)),
                       torch::TensorOptions(labels.device()).dtype(torch::kFloat32));
  }
  if (present_.defined()) labels = index_.index_select(0, labels);
  return weights_.index_select(0, labels).sum();
}

// LibTorch's own smoothing picks elements by a mask, for which the host must wait and no graph can
// be made of a step.
torch::Tensor Loss::Smoothed(const torch::Tensor& all_log_p, const torch::Tensor& log_p,
                             const torch::Tensor& labels) const {
  const auto classes = static_cast<double>(all_log_p.size(1));
  if (!weights_.defined()) {
    return -(1 - smoothing_) * log_p.mean() - smoothing_ * all_log_p.mean();
  }
  const torch::Tensor weights = weights_.index_select(0, labels);
  const torch::Tensor own = (weights * log_p).sum();
  const torch::Tensor spread = (weights_ * all_log_p).sum() / classes;
  return -((1 - smoothing_) * own + smoothing_ * spread) / weights.sum();
}

}  // namespace consilium
