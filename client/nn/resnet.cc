#include <array>

#include "client/nn/network_internal.h"

namespace consilium {
namespace {

namespace nn = torch::nn;

// He's ResNets normalise over the batch. Group norm (Wu and He, ECCV 2018) looks at one image
// alone, so what a network learns at one hospital does not lean on that hospital's own batch
// statistics.
struct BatchNorm {
  using Layer = nn::BatchNorm2d;
  static Layer Make(int channels) { return Layer(channels); }
};
struct GroupNorm {
  using Layer = nn::GroupNorm;
  static constexpr int kGroups = 32;
  static Layer Make(int channels) { return Layer(nn::GroupNormOptions(kGroups, channels)); }
};

nn::Conv2d Conv3x3(int in, int out, int stride) {
  return nn::Conv2d(nn::Conv2dOptions(in, out, 3).stride(stride).padding(1).bias(false));
}

nn::Conv2d Conv1x1(int in, int out, int stride) {
  return nn::Conv2d(nn::Conv2dOptions(in, out, 1).stride(stride).bias(false));
}

// What goes past a block: where the shape changes, a 1 x 1 convolution; otherwise nothing.
template <typename Norm>
nn::Sequential Shortcut(int in, int out, int stride) {
  if (stride == 1 && in == out) return nullptr;
  return nn::Sequential(Conv1x1(in, out, stride), Norm::Make(out));
}

// Two 3 x 3 convolutions and a shortcut.
template <typename Norm>
class BasicBlock final : public nn::Module {
 public:
  static constexpr int kExpansion = 1;

  BasicBlock(int in, int width, int stride)
      : conv1_(Conv3x3(in, width, stride)),
        bn1_(Norm::Make(width)),
        conv2_(Conv3x3(width, width, 1)),
        bn2_(Norm::Make(width)),
        downsample_(Shortcut<Norm>(in, width, stride)) {
    register_module("conv1", conv1_);
    register_module("bn1", bn1_);
    register_module("conv2", conv2_);
    register_module("bn2", bn2_);
    if (!downsample_.is_empty()) register_module("downsample", downsample_);
  }

  torch::Tensor forward(const torch::Tensor& x) {
    torch::Tensor y = bn1_(conv1_(x)).relu_();
    y = bn2_(conv2_(y));
    y += downsample_.is_empty() ? x : downsample_->forward(x);
    return y.relu_();
  }

 private:
  nn::Conv2d conv1_;
  typename Norm::Layer bn1_;
  nn::Conv2d conv2_;
  typename Norm::Layer bn2_;
  nn::Sequential downsample_;
};

// A 3 x 3 convolution between two of 1 x 1, and a shortcut. The stride is the middle one's, as
// torchvision has it.
template <typename Norm>
class Bottleneck final : public nn::Module {
 public:
  static constexpr int kExpansion = 4;

  Bottleneck(int in, int width, int stride)
      : conv1_(Conv1x1(in, width, 1)),
        bn1_(Norm::Make(width)),
        conv2_(Conv3x3(width, width, stride)),
        bn2_(Norm::Make(width)),
        conv3_(Conv1x1(width, kExpansion * width, 1)),
        bn3_(Norm::Make(kExpansion * width)),
        downsample_(Shortcut<Norm>(in, kExpansion * width, stride)) {
    register_module("conv1", conv1_);
    register_module("bn1", bn1_);
    register_module("conv2", conv2_);
    register_module("bn2", bn2_);
    register_module("conv3", conv3_);
    register_module("bn3", bn3_);
    if (!downsample_.is_empty()) register_module("downsample", downsample_);
  }

  torch::Tensor forward(const torch::Tensor& x) {
    torch::Tensor y = bn1_(conv1_(x)).relu_();
    y = bn2_(conv2_(y)).relu_();
    y = bn3_(conv3_(y));
    y += downsample_.is_empty() ? x : downsample_->forward(x);
    return y.relu_();
  }

 private:
  nn::Conv2d conv1_;
  typename Norm::Layer bn1_;
  nn::Conv2d conv2_;
  typename Norm::Layer bn2_;
  nn::Conv2d conv3_;
  typename Norm::Layer bn3_;
  nn::Sequential downsample_;
};

template <typename Block>
nn::Sequential Stage(int in, int width, int stride, int blocks) {
  nn::Sequential stage;
  stage->push_back(std::make_shared<Block>(in, width, stride));
  for (int i = 1; i < blocks; ++i) {
    stage->push_back(std::make_shared<Block>(Block::kExpansion * width, width, 1));
  }
  return stage;
}

// Torchvision's names, also where bn1 is a group norm, as torchvision has it.
template <typename Norm, typename Block>
class ResNet final : public Classifier {
 public:
  ResNet(const ModelSpec& spec, const std::array<int, 4>& blocks)
      : conv1_(nn::Conv2dOptions(spec.channels, 64, 7).stride(2).padding(3).bias(false)),
        bn1_(Norm::Make(64)),
        layer1_(Stage<Block>(64, 64, 1, blocks[0])),
        layer2_(Stage<Block>(64 * Block::kExpansion, 128, 2, blocks[1])),
        layer3_(Stage<Block>(128 * Block::kExpansion, 256, 2, blocks[2])),
        layer4_(Stage<Block>(256 * Block::kExpansion, 512, 2, blocks[3])),
        fc_(512 * Block::kExpansion, static_cast<int>(spec.classes.size())) {
    register_module("conv1", conv1_);
    register_module("bn1", bn1_);
    register_module("layer1", layer1_);
    register_module("layer2", layer2_);
    register_module("layer3", layer3_);
    register_module("layer4", layer4_);
    register_module("fc", fc_);
  }

  torch::Tensor Features(torch::Tensor images) override {
    torch::Tensor x = bn1_(conv1_(images)).relu_();
    x = torch::max_pool2d(x, 3, 2, 1);
    return layer4_->forward(layer3_->forward(layer2_->forward(layer1_->forward(x))));
  }
  torch::Tensor ScoresOf(torch::Tensor features) override {
    return fc_(torch::adaptive_avg_pool2d(features, {1, 1}).flatten(1));
  }

 private:
  nn::Conv2d conv1_;
  typename Norm::Layer bn1_;
  nn::Sequential layer1_;
  nn::Sequential layer2_;
  nn::Sequential layer3_;
  nn::Sequential layer4_;
  nn::Linear fc_;
};

}  // namespace

std::shared_ptr<Classifier> MakeResNet18(const ModelSpec& spec, bool group_norm) {
  constexpr std::array<int, 4> kBlocks = {2, 2, 2, 2};
  if (group_norm) return std::make_shared<ResNet<GroupNorm, BasicBlock<GroupNorm>>>(spec, kBlocks);
  return std::make_shared<ResNet<BatchNorm, BasicBlock<BatchNorm>>>(spec, kBlocks);
}

std::shared_ptr<Classifier> MakeResNet50(const ModelSpec& spec, bool group_norm) {
  constexpr std::array<int, 4> kBlocks = {3, 4, 6, 3};
  if (group_norm) return std::make_shared<ResNet<GroupNorm, Bottleneck<GroupNorm>>>(spec, kBlocks);
  return std::make_shared<ResNet<BatchNorm, Bottleneck<BatchNorm>>>(spec, kBlocks);
}

}  // namespace consilium
