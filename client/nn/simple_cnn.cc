#include "client/nn/network_internal.h"

namespace consilium {

namespace nn = torch::nn;

// features: [Conv 3x3, ReLU, MaxPool 2x2] with 32, 64, 128, 128 channels; average pooling to 4 x 4;
// classifier: dropout, dense 128, ReLU, dropout, dense K.
std::shared_ptr<Classifier> MakeSimpleCnn(const ModelSpec& spec) {
  constexpr int kPooledSide = 4;
  constexpr int kHidden = 128;
  nn::Sequential features;
  int channels = spec.channels;
  for (const int width : {32, 64, 128, 128}) {
    features->push_back(nn::Conv2d(nn::Conv2dOptions(channels, width, 3).padding(1)));
    features->push_back(nn::ReLU(nn::ReLUOptions(true)));
    features->push_back(nn::MaxPool2d(2));
    channels = width;
  }
  const nn::Sequential classifier(nn::Dropout(spec.dropout),
                                  nn::Linear(channels * kPooledSide * kPooledSide, kHidden),
                                  nn::ReLU(nn::ReLUOptions(true)), nn::Dropout(spec.dropout),
                                  nn::Linear(kHidden, static_cast<int>(spec.classes.size())));
  return MakeSequential(features, kPooledSide, classifier);
}

}  // namespace consilium
