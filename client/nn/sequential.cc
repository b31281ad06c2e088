#include "client/nn/network_internal.h"

namespace consilium {
namespace {

class SequentialClassifier final : public Classifier {
 public:
  SequentialClassifier(torch::nn::Sequential features, int pooled_side,
                       torch::nn::Sequential classifier)
      : features_(register_module("features", std::move(features))),
        pooled_side_(pooled_side),
        classifier_(register_module("classifier", std::move(classifier))) {}

  torch::Tensor Features(torch::Tensor images) override { return features_->forward(images); }
  torch::Tensor ScoresOf(torch::Tensor features) override {
    return classifier_->forward(
        torch::adaptive_avg_pool2d(features, {pooled_side_, pooled_side_}).flatten(1));
  }

 private:
  torch::nn::Sequential features_;
  const int pooled_side_;
  torch::nn::Sequential classifier_;
};

}  // namespace

std::shared_ptr<Classifier> MakeSequential(torch::nn::Sequential features, int pooled_side,
                                           torch::nn::Sequential classifier) {
  return std::make_shared<SequentialClassifier>(std::move(features), pooled_side,
                                                std::move(classifier));
}

}  // namespace consilium
