#include "client/nn/network_internal.h"

namespace consilium {
namespace {

namespace nn = torch::nn;

constexpr int kPool = 0;  // in the list of widths: halve the side here

// Configuration D: thirteen 3x3 convolutions.
nn::Sequential Features(int channels, bool batch_norm) {
  nn::Sequential features;
  for (const int width : {64, 64, kPool, 128, 128, kPool, 256, 256, 256, kPool, 512, 512, 512,
                          kPool, 512, 512, 512, kPool}) {
    if (width == kPool) {
      features->push_back(nn::MaxPool2d(2));
      continue;
    }
    features->push_back(nn::Conv2d(nn::Conv2dOptions(channels, width, 3).padding(1)));
    if (batch_norm) features->push_back(nn::BatchNorm2d(width));
    features->push_back(nn::ReLU(nn::ReLUOptions(true)));
    channels = width;
  }
  return features;
}

}  // namespace

std::shared_ptr<Classifier> MakeVgg16(const ModelSpec& spec, bool batch_norm) {
  constexpr int kPooledSide = 7;
  constexpr int kHidden = 4096;
  const nn::Sequential classifier(
      nn::Linear(512 * kPooledSide * kPooledSide, kHidden), nn::ReLU(nn::ReLUOptions(true)),
      nn::Dropout(spec.dropout), nn::Linear(kHidden, kHidden), nn::ReLU(nn::ReLUOptions(true)),
      nn::Dropout(spec.dropout), nn::Linear(kHidden, static_cast<int>(spec.classes.size())));
  return MakeSequential(Features(spec.channels, batch_norm), kPooledSide, classifier);
}

}  // namespace consilium
