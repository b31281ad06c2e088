#include <gmock/gmock.h>

#include <cmath>
#include <vector>

#include "client/train/loss_internal.h"

namespace consilium {
namespace {

const torch::Device kCpu(torch::kCPU);

// Scores of 6 examples for 4 classes, and their labels.
struct Examples {
  torch::Tensor scores;
  torch::Tensor labels = torch::tensor({0, 3, 1, 1, 3, 0}, torch::kInt64);

  Examples() {
    torch::manual_seed(2);
    scores = 2 * torch::randn({6, 4});
  }
};

double Of(const TrainOptions& options, const Examples& examples) {
  return Loss(options, 4, kCpu)(examples.scores, examples.labels).item<double>();
}

TEST(Loss, FocalIsTheEquationsMean) {
  const Examples examples;
  const std::vector<float> class_weights = {0.5F, 2, 7, 1};
  const torch::Tensor p = torch::softmax(examples.scores.to(torch::kFloat64), 1);
  double sum = 0;
  double weights = 0;
  for (int i = 0; i < 6; ++i) {
    const auto label = examples.labels[i].item<std::int64_t>();
    const double p_y = p[i][label].item<double>();
    const double weight = class_weights[static_cast<std::size_t>(label)];
    sum -= weight * std::pow(1 - p_y, 1.5) * std::log(p_y);
    weights += weight;
  }
  EXPECT_NEAR(
      Of({.loss = LossKind::kFocal, .focal_gamma = 1.5, .class_weights = class_weights}, examples),
      sum / weights, 1e-5);
}

TEST(Loss, FocalWithoutFocusIsCrossEntropy) {
  const Examples examples;
  for (const std::vector<float>& weights : {std::vector<float>{}, {0.5F, 2, 7, 1}}) {
    EXPECT_NEAR(
        Of({.loss = LossKind::kFocal, .focal_gamma = 0, .class_weights = weights}, examples),
        Of({.class_weights = weights}, examples), 1e-6);
  }
}

TEST(Loss, SmoothingSpreadsAShareOfTheLabel) {
  const Examples examples;
  const torch::Tensor log_p = torch::log_softmax(examples.scores.to(torch::kFloat64), 1);
  for (const std::vector<float>& weights : {std::vector<float>{1, 1, 1, 1}, {0.5F, 2, 7, 1}}) {
    double sum = 0;
    double total = 0;
    for (int i = 0; i < 6; ++i) {
      const auto label = examples.labels[i].item<std::int64_t>();
      const double weight = weights[static_cast<std::size_t>(label)];
      total += weight;
      sum -= 0.8 * weight * log_p[i][label].item<double>();
      for (int c = 0; c < 4; ++c) {
        sum -= 0.2 / 4 * weights[static_cast<std::size_t>(c)] * log_p[i][c].item<double>();
      }
    }
    EXPECT_NEAR(Of({.label_smoothing = 0.2, .class_weights = weights}, examples), sum / total,
                1e-5);
  }
}

TEST(Loss, SmoothingIsLibTorchs) {
  const Examples examples;
  for (const std::vector<float>& weights : {std::vector<float>{}, {0.5F, 2, 7, 1}}) {
    auto options = torch::nn::functional::CrossEntropyFuncOptions().label_smoothing(0.1);
    if (!weights.empty()) options.weight(torch::tensor(weights));
    const torch::Tensor want =
        torch::nn::functional::cross_entropy(examples.scores, examples.labels, options);
    EXPECT_NEAR(Of({.label_smoothing = 0.1, .class_weights = weights}, examples),
                want.item<double>(), 1e-5);
  }
}

// With a power below 1 the slope of the focus is infinite where an example is recognised for sure.
TEST(Loss, FocalHasAGradientWhereverTheNetworkIsSure) {
  for (const double gamma : {0.0, 0.5, 1.0, 2.0}) {
    const torch::Tensor scores =
        torch::tensor({{60.0F, 0.0F, 0.0F}, {-60.0F, 0.0F, 60.0F}}).requires_grad_();
    Loss({.loss = LossKind::kFocal, .focal_gamma = gamma}, 3, kCpu)(
        scores, torch::tensor({0, 0}, torch::kInt64))
        .backward();
    EXPECT_TRUE(torch::isfinite(scores.grad()).all().item<bool>()) << gamma;
  }
}

// As if the network had never had the class, whichever the loss is.
TEST(Loss, AbsentClassTakesNoPart) {
  Examples all;
  Examples without;
  without.scores = all.scores.index_select(1, torch::tensor({0, 1, 3}));
  without.labels = torch::tensor({0, 2, 1, 1, 2, 0}, torch::kInt64);
  for (const TrainOptions& options :
       {TrainOptions{.class_weights = {1, 2, 5, 4}}, TrainOptions{.label_smoothing = 0.1},
        TrainOptions{.loss = LossKind::kFocal, .class_weights = {1, 2, 5, 4}}}) {
    TrainOptions restricted = options;
    restricted.absent_classes = {2};
    TrainOptions three = options;
    if (!three.class_weights.empty()) three.class_weights = {1, 2, 4};
    all.scores = all.scores.detach().requires_grad_();
    const torch::Tensor loss = Loss(restricted, 4, kCpu)(all.scores, all.labels);
    EXPECT_NEAR(loss.item<double>(),
                Loss(three, 3, kCpu)(without.scores, without.labels).item<double>(), 1e-6);
    loss.backward();
    EXPECT_EQ(all.scores.grad().select(1, 2).abs().max().item<double>(), 0);
  }
}

}  // namespace
}  // namespace consilium
