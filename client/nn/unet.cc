#include <array>

#include "client/nn/network_internal.h"

namespace consilium {
namespace {

namespace nn = torch::nn;

constexpr std::array<int, 4> kWidths = {16, 32, 64, 128};
constexpr int kBottom = 256;

// Two 3 x 3 convolutions, each with batch norm and a rectifier.
nn::Sequential Block(int in, int width) {
  nn::Sequential block;
  for (const int from : {in, width}) {
    block->push_back(nn::Conv2d(nn::Conv2dOptions(from, width, 3).padding(1).bias(false)));
    block->push_back(nn::BatchNorm2d(width));
    block->push_back(nn::ReLU(nn::ReLUOptions(true)));
  }
  return block;
}

// Down by halves, and up again with what was seen at each size on the way down.
class Unet final : public Classifier {
 public:
  explicit Unet(const ModelSpec& spec)
      : bottom_(Block(kWidths.back(), kBottom)),
        head_(nn::Conv2dOptions(kWidths.front(), static_cast<int>(spec.classes.size()), 1)) {
    int in = spec.channels;
    int above = kBottom;
    for (std::size_t i = 0; i < kWidths.size(); ++i) {
      down_[i] = register_module("down" + std::to_string(i + 1), Block(in, kWidths[i]));
      in = kWidths[i];
    }
    register_module("bottom", bottom_);
    for (std::size_t i = kWidths.size(); i-- > 0;) {
      up_[i] = register_module("up" + std::to_string(i + 1), Block(above + kWidths[i], kWidths[i]));
      above = kWidths[i];
    }
    register_module("head", head_);
  }

  torch::Tensor Features(torch::Tensor x) override {
    std::array<torch::Tensor, kWidths.size()> seen;
    for (std::size_t i = 0; i < kWidths.size(); ++i) {
      seen[i] = down_[i]->forward(x);
      x = torch::max_pool2d(seen[i], 2);
    }
    x = bottom_->forward(x);
    for (std::size_t i = kWidths.size(); i-- > 0;) {
      x = torch::upsample_nearest2d(x, {seen[i].size(2), seen[i].size(3)});
      x = up_[i]->forward(torch::cat({x, seen[i]}, 1));
    }
    return x;
  }
  torch::Tensor ScoresOf(torch::Tensor features) override { return head_(features); }

 private:
  std::array<nn::Sequential, kWidths.size()> down_;
  nn::Sequential bottom_;
  std::array<nn::Sequential, kWidths.size()> up_;
  nn::Conv2d head_;
};

}  // namespace

std::shared_ptr<Classifier> MakeUnet(const ModelSpec& spec) { return std::make_shared<Unet>(spec); }

}  // namespace consilium
