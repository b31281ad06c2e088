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

// Two 3 x 3 convolutions and a shortcut; where the shape changes, the shortcut is a 1 x 1
// convolution.
template <typename Norm>
class BasicBlock final : public nn::Module {
 public:
  BasicBlock(int in, int out, int stride)
      : conv1_(Conv3x3(in, out, stride)),
        bn1_(Norm::Make(out)),
        conv2_(Conv3x3(out, out, 1)),
        bn2_(Norm::Make(out)) {
    register_module("conv1", conv1_);
    register_module("bn1", bn1_);
    register_module("conv2", conv2_);
    register_module("bn2", bn2_);
    if (stride != 1 || in != out) {
      downsample_ = nn::Sequential(
          nn::Conv2d(nn::Conv2dOptions(in, out, 1).stride(stride).bias(false)), Norm::Make(out));
      register_module("downsample", downsample_);
    }
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
  nn::Sequential downsample_{nullptr};
};

template <typename Norm>
nn::Sequential Stage(int in, int out, int stride) {
  return nn::Sequential(std::make_shared<BasicBlock<Norm>>(in, out, stride),
                        std::make_shared<BasicBlock<Norm>>(out, out, 1));
}

// Torchvision's names, also where bn1 is a group norm, as torchvision has it.
template <typename Norm>
class ResNet18 final : public Classifier {
 public:
  explicit ResNet18(const ModelSpec& spec)
      : conv1_(nn::Conv2dOptions(spec.channels, 64, 7).stride(2).padding(3).bias(false)),
        bn1_(Norm::Make(64)),
        layer1_(Stage<Norm>(64, 64, 1)),
        layer2_(Stage<Norm>(64, 128, 2)),
        layer3_(Stage<Norm>(128, 256, 2)),
        layer4_(Stage<Norm>(256, 512, 2)),
        fc_(512, static_cast<int>(spec.classes.size())) {
    register_module("conv1", conv1_);
    register_module("bn1", bn1_);
    register_module("layer1", layer1_);
    register_module("layer2", layer2_);
    register_module("layer3", layer3_);
    register_module("layer4", layer4_);
    register_module("fc", fc_);
  }

  torch::Tensor Forward(torch::Tensor images) override {
    torch::Tensor x = bn1_(conv1_(images)).relu_();
    x = torch::max_pool2d(x, 3, 2, 1);
    x = layer4_->forward(layer3_->forward(layer2_->forward(layer1_->forward(x))));
    return fc_(torch::adaptive_avg_pool2d(x, {1, 1}).flatten(1));
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
  if (group_norm) return std::make_shared<ResNet18<GroupNorm>>(spec);
  return std::make_shared<ResNet18<BatchNorm>>(spec);
}

}  // namespace consilium
