#include "client/nn/network_internal.h"

namespace consilium {
namespace {

namespace nn = torch::nn;

constexpr int kPooledSide = 4;  // of the last feature maps, whatever the input size
constexpr int kHidden = 128;

// features: [Conv 3x3, ReLU, MaxPool 2x2] with 32, 64, 128, 128 channels; average pooling to 4 x 4;
// classifier: dropout, dense 128, ReLU, dropout, dense K.
class SimpleCnn final : public Classifier {
 public:
  explicit SimpleCnn(const ModelSpec& spec) {
    int channels = spec.channels;
    for (const int width : {32, 64, 128, 128}) {
      features_->push_back(nn::Conv2d(nn::Conv2dOptions(channels, width, 3).padding(1)));
      features_->push_back(nn::ReLU(nn::ReLUOptions(true)));
      features_->push_back(nn::MaxPool2d(2));
      channels = width;
    }
    classifier_ = nn::Sequential(nn::Dropout(spec.dropout),
                                 nn::Linear(channels * kPooledSide * kPooledSide, kHidden),
                                 nn::ReLU(nn::ReLUOptions(true)), nn::Dropout(spec.dropout),
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

std::shared_ptr<Classifier> MakeSimpleCnn(const ModelSpec& spec) {
  return std::make_shared<SimpleCnn>(spec);
}

}  // namespace consilium
