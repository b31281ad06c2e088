#pragma once

// LibTorch's view of a network. Included by client/nn and client/train only.

#include <torch/torch.h>

#include <memory>
#include <string>
#include <vector>

#include "client/nn/network.h"

namespace consilium {

// Any network: N x C x H x W images to N x K scores before the softmax, or N x K x H x W where it
// labels pixels, by way of its last feature maps, N x F x h x w.
class Classifier : public torch::nn::Module {
 public:
  virtual torch::Tensor Features(torch::Tensor images) = 0;
  virtual torch::Tensor ScoresOf(torch::Tensor features) = 0;
  torch::Tensor Forward(torch::Tensor images) { return ScoresOf(Features(std::move(images))); }
};

// Feature maps, averaged to pooled_side x pooled_side whatever the input size, then a classifier on
// the flattened result. The modules' names are "features" and "classifier".
std::shared_ptr<Classifier> MakeSequential(torch::nn::Sequential features, int pooled_side,
                                           torch::nn::Sequential classifier);

std::shared_ptr<Classifier> MakeSimpleCnn(const ModelSpec& spec);
std::shared_ptr<Classifier> MakeResNet18(const ModelSpec& spec, bool group_norm);
std::shared_ptr<Classifier> MakeResNet50(const ModelSpec& spec, bool group_norm);
std::shared_ptr<Classifier> MakeDenseNet121(const ModelSpec& spec);
std::shared_ptr<Classifier> MakeMobileNetV3Small(const ModelSpec& spec);
std::shared_ptr<Classifier> MakeUnet(const ModelSpec& spec);
std::shared_ptr<Classifier> MakeVgg16(const ModelSpec& spec, bool batch_norm);

struct Network::Impl {
  ModelSpec spec;
  std::shared_ptr<Classifier> module;
  std::shared_ptr<const Layout> layout;
  std::vector<torch::Tensor> tensors;  // in the layout's order
  torch::Device device = torch::kCPU;
  bool mixed_precision = false;
};

}  // namespace consilium
