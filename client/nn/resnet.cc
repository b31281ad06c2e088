#include "client/nn/network_internal.h"

namespace consilium {
namespace {

namespace nn = torch::nn;

nn::Conv2d Conv3x3(int in, int out, int stride) {
  return nn::Conv2d(nn::Conv2dOptions(in, out, 3).stride(stride).padding(1).bias(false));
}

// Two 3 x 3 convolutions and a shortcut; where the shape changes, the shortcut is a 1 x 1
// convolution.
class BasicBlock final : public nn::Module {
 public:
  BasicBlock(int in, int out, int stride)
      : conv1_(Conv3x3(in, out, stride)), bn1_(out), conv2_(Conv3x3(out, out, 1)), bn2_(out) {
    register_module("conv1", conv1_);
    register_module("bn1", bn1_);
    register_module("conv2", conv2_);
    register_module("bn2", bn2_);
    if (stride != 1 || in != out) {
      downsample_ =
          nn::Sequential(nn::Conv2d(nn::Conv2dOptions(in, out, 1).stride(stride).bias(false)),
                         nn::BatchNorm2d(out));
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
  nn::BatchNorm2d bn1_;
  nn::Conv2d conv2_;
  nn::BatchNorm2d bn2_;
  nn::Sequential downsample_{nullptr};
};

nn::Sequential Stage(int in, int out, int stride) {
  return nn::Sequential(std::make_shared<BasicBlock>(in, out, stride),
                        std::make_shared<BasicBlock>(out, out, 1));
}

class ResNet18 final : public Classifier {
 public:
  explicit ResNet18(const ModelSpec& spec)
      : conv1_(nn::Conv2dOptions(spec.channels, 64, 7).stride(2).padding(3).bias(false)),
        bn1_(64),
        layer1_(Stage(64, 64, 1)),
        layer2_(Stage(64, 128, 2)),
        layer3_(Stage(128, 256, 2)),
        layer4_(Stage(256, 512, 2)),
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
  nn::BatchNorm2d bn1_;
  nn::Sequential layer1_;
  nn::Sequential layer2_;
  nn::Sequential layer3_;
  nn::Sequential layer4_;
  nn::Linear fc_;
};

}  // namespace

std::shared_ptr<Classifier> MakeResNet18(const ModelSpec& spec) {
  return std::make_shared<ResNet18>(spec);
}

}  // namespace consilium
