#include <array>

#include "client/nn/network_internal.h"

namespace consilium {
namespace {

namespace nn = torch::nn;

enum class Activation { kNone, kRelu, kHardswish };

// Modules one after the other that can stand in a Sequential, whose own forward is a template.
class Chain final : public nn::SequentialImpl {
 public:
  torch::Tensor forward(torch::Tensor x) { return nn::SequentialImpl::forward(std::move(x)); }
};

// A convolution, its norm and what follows. torchvision's names: 0 and 1.
std::shared_ptr<Chain> ConvNorm(int in, int out, int kernel, int stride, int groups,
                                Activation activation) {
  auto layer = std::make_shared<Chain>();
  layer->push_back(nn::Conv2d(nn::Conv2dOptions(in, out, kernel)
                                  .stride(stride)
                                  .padding(kernel / 2)
                                  .groups(groups)
                                  .bias(false)));
  layer->push_back(nn::BatchNorm2d(nn::BatchNorm2dOptions(out).eps(1e-3).momentum(0.01)));
  if (activation == Activation::kRelu) layer->push_back(nn::ReLU(nn::ReLUOptions(true)));
  if (activation == Activation::kHardswish) {
    layer->push_back(nn::Functional([](const torch::Tensor& x) { return torch::hardswish(x); }));
  }
  return layer;
}

// The next multiple of 8, and never more than a tenth below.
int DivisibleBy8(int channels) {
  const int rounded = std::max(8, (channels + 4) / 8 * 8);
  return 10 * rounded < 9 * channels ? rounded + 8 : rounded;
}

// Weighs channels by what all places say (Hu et al., CVPR 2018).
class SqueezeExcitation final : public nn::Module {
 public:
  explicit SqueezeExcitation(int channels)
      : fc1_(nn::Conv2dOptions(channels, DivisibleBy8(channels / 4), 1)),
        fc2_(nn::Conv2dOptions(DivisibleBy8(channels / 4), channels, 1)) {
    register_module("fc1", fc1_);
    register_module("fc2", fc2_);
  }
  torch::Tensor forward(const torch::Tensor& x) {
    const torch::Tensor all = torch::adaptive_avg_pool2d(x, {1, 1});
    return x * torch::hardsigmoid(fc2_(fc1_(all).relu_()));
  }

 private:
  nn::Conv2d fc1_;
  nn::Conv2d fc2_;
};

// A row of the table of MobileNetV3-Small.
struct Row {
  int kernel;
  int expanded;
  int out;
  bool squeezes;
  Activation activation;
  int stride;
};

class InvertedResidual final : public nn::Module {
 public:
  InvertedResidual(int in, const Row& row) : has_shortcut_(row.stride == 1 && in == row.out) {
    if (row.expanded != in) {
      block_->push_back(ConvNorm(in, row.expanded, 1, 1, 1, row.activation));
    }
    block_->push_back(
        ConvNorm(row.expanded, row.expanded, row.kernel, row.stride, row.expanded, row.activation));
    if (row.squeezes) block_->push_back(std::make_shared<SqueezeExcitation>(row.expanded));
    block_->push_back(ConvNorm(row.expanded, row.out, 1, 1, 1, Activation::kNone));
    register_module("block", block_);
  }
  torch::Tensor forward(const torch::Tensor& x) {
    const torch::Tensor y = block_->forward(x);
    return has_shortcut_ ? y + x : y;
  }

 private:
  const bool has_shortcut_;
  nn::Sequential block_;
};

}  // namespace

std::shared_ptr<Classifier> MakeMobileNetV3Small(const ModelSpec& spec) {
  using enum Activation;
  constexpr std::array<Row, 11> kRows = {{{3, 16, 16, true, kRelu, 2},
                                          {3, 72, 24, false, kRelu, 2},
                                          {3, 88, 24, false, kRelu, 1},
                                          {5, 96, 40, true, kHardswish, 2},
                                          {5, 240, 40, true, kHardswish, 1},
                                          {5, 240, 40, true, kHardswish, 1},
                                          {5, 120, 48, true, kHardswish, 1},
                                          {5, 144, 48, true, kHardswish, 1},
                                          {5, 288, 96, true, kHardswish, 2},
                                          {5, 576, 96, true, kHardswish, 1},
                                          {5, 576, 96, true, kHardswish, 1}}};
  constexpr int kHidden = 1024;
  int channels = 16;
  nn::Sequential features(ConvNorm(spec.channels, channels, 3, 2, 1, kHardswish));
  for (const Row& row : kRows) {
    features->push_back(std::make_shared<InvertedResidual>(channels, row));
    channels = row.out;
  }
  features->push_back(ConvNorm(channels, 6 * channels, 1, 1, 1, kHardswish));
  const nn::Sequential classifier(
      nn::Linear(6 * channels, kHidden),
      nn::Functional([](const torch::Tensor& x) { return torch::hardswish(x); }),
      nn::Dropout(spec.dropout), nn::Linear(kHidden, static_cast<int>(spec.classes.size())));
  return MakeSequential(features, /*pooled_side=*/1, classifier);
}

}  // namespace consilium
