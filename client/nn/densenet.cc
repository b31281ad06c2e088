#include <array>

#include "client/nn/network_internal.h"

namespace consilium {
namespace {

namespace nn = torch::nn;

constexpr int kGrowth = 32;  // channels that a layer adds
constexpr int kBottleneck = 4 * kGrowth;

nn::Conv2d Conv(int in, int out, int kernel) {
  return nn::Conv2d(nn::Conv2dOptions(in, out, kernel).padding(kernel / 2).bias(false));
}

// What a layer adds to all that came before it.
class DenseLayer final : public nn::Module {
 public:
  explicit DenseLayer(int in)
      : norm1_(in),
        conv1_(Conv(in, kBottleneck, 1)),
        norm2_(kBottleneck),
        conv2_(Conv(kBottleneck, kGrowth, 3)) {
    register_module("norm1", norm1_);
    register_module("conv1", conv1_);
    register_module("norm2", norm2_);
    register_module("conv2", conv2_);
  }
  torch::Tensor forward(const torch::Tensor& x) {
    return conv2_(norm2_(conv1_(norm1_(x).relu_())).relu_());
  }

 private:
  nn::BatchNorm2d norm1_;
  nn::Conv2d conv1_;
  nn::BatchNorm2d norm2_;
  nn::Conv2d conv2_;
};

class DenseBlock final : public nn::Module {
 public:
  DenseBlock(int in, int layers) {
    for (int i = 0; i < layers; ++i) {
      layers_.push_back(register_module("denselayer" + std::to_string(i + 1),
                                        std::make_shared<DenseLayer>(in + i * kGrowth)));
    }
  }
  torch::Tensor forward(torch::Tensor x) {
    for (const auto& layer : layers_) x = torch::cat({x, layer->forward(x)}, 1);
    return x;
  }

 private:
  std::vector<std::shared_ptr<DenseLayer>> layers_;
};

// Half the channels, half the side.
class Transition final : public nn::Module {
 public:
  explicit Transition(int in) : norm_(in), conv_(Conv(in, in / 2, 1)) {
    register_module("norm", norm_);
    register_module("conv", conv_);
  }
  torch::Tensor forward(const torch::Tensor& x) {
    return torch::avg_pool2d(conv_(norm_(x).relu_()), 2, 2);
  }

 private:
  nn::BatchNorm2d norm_;
  nn::Conv2d conv_;
};

class DenseNet121 final : public Classifier {
 public:
  explicit DenseNet121(const ModelSpec& spec) : classifier_(nullptr) {
    constexpr std::array<int, 4> kLayers = {6, 12, 24, 16};
    int channels = 64;
    features_->push_back(
        "conv0",
        nn::Conv2d(nn::Conv2dOptions(spec.channels, channels, 7).stride(2).padding(3).bias(false)));
    features_->push_back("norm0", nn::BatchNorm2d(channels));
    features_->push_back("relu0", nn::ReLU());
    features_->push_back("pool0", nn::MaxPool2d(nn::MaxPool2dOptions(3).stride(2).padding(1)));
    for (std::size_t i = 0; i < kLayers.size(); ++i) {
      const std::string number = std::to_string(i + 1);
      features_->push_back("denseblock" + number,
                           std::make_shared<DenseBlock>(channels, kLayers[i]));
      channels += kLayers[i] * kGrowth;
      if (i + 1 == kLayers.size()) break;
      features_->push_back("transition" + number, std::make_shared<Transition>(channels));
      channels /= 2;
    }
    features_->push_back("norm5", nn::BatchNorm2d(channels));
    classifier_ = nn::Linear(channels, static_cast<int>(spec.classes.size()));
    register_module("features", features_);
    register_module("classifier", classifier_);
  }

  torch::Tensor Features(torch::Tensor images) override {
    return features_->forward(images).relu_();
  }
  torch::Tensor ScoresOf(torch::Tensor features) override {
    return classifier_(torch::adaptive_avg_pool2d(features, {1, 1}).flatten(1));
  }

 private:
  nn::Sequential features_;
  nn::Linear classifier_;
};

}  // namespace

std::shared_ptr<Classifier> MakeDenseNet121(const ModelSpec& spec) {
  return std::make_shared<DenseNet121>(spec);
}

}  // namespace consilium
