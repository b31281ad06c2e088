#include "client/nn/network_internal.h"

namespace consilium {
namespace {

namespace nn = torch::nn;

constexpr int kPool = 0;  // in the list of widths: halve the side here
constexpr int kPooledSide = 7;
constexpr int kHidden = 4096;

class Vgg16 final : public Classifier {
 public:
  Vgg16(const ModelSpec& spec, bool batch_norm) {
    int channels = spec.channels;
    for (const int width : {64, 64, kPool, 128, 128, kPool, 256, 256, 256, kPool, 512, 512, 512,
                            kPool, 512, 512, 512, kPool}) {
      if (width == kPool) {
        features_->push_back(nn::MaxPool2d(2));
        continue;
      }
      features_->push_back(nn::Conv2d(nn::Conv2dOptions(channels, width, 3).padding(1)));
      if (batch_norm) features_->push_back(nn::BatchNorm2d(width));
      features_->push_back(nn::ReLU(nn::ReLUOptions(true)));
      channels = width;
    }
    classifier_ = nn::Sequential(nn::Linear(channels * kPooledSide * kPooledSide, kHidden),
                                 nn::ReLU(nn::ReLUOptions(true)), nn::Dropout(spec.dropout),
                                 nn::Linear(kHidden, kHidden), nn::ReLU(nn::ReLUOptions(true)),
                                 nn::Dropout(spec.dropout),
                                 nn::Linear(kHidden, static_cast<int>(spec.classes.size())));
    register_module("features", features_);
    register_module("classifier", classifier_);
  }

  torch::Tensor Forward(torch::Tensor images) override {
    torch::Tensor x = features_->forward(images);
    x = torch::adaptive_avg_pool2d(x, {kPooledSide, kPooledSide});
    return classifier_->forward(x.flatten(1));
  }

 private:
  nn::Sequential features_;
  nn::Sequential classifier_;
};

}  // namespace

std::shared_ptr<Classifier> MakeVgg16(const ModelSpec& spec, bool batch_norm) {
  return std::make_shared<Vgg16>(spec, batch_norm);
}

}  // namespace consilium
