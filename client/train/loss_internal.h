#pragma once

// What training minimises.

#include <torch/torch.h>

#include "client/train/trainer.h"

namespace consilium {

// The loss of a batch. With p the softmax over the K classes that are not absent, y an example's
// class, w the classes' weights and e the label smoothing, the sum over the examples of
//
//   cross-entropy  -(1 - e) w_y log p_y - e / K sum_c w_c log p_c   (as PyTorch has it; the
//                  smoothing: Szegedy et al., CVPR 2016, section 7)
//   focal          -w_y (1 - p_y)^gamma log p_y                     (Lin et al., ICCV 2017,
//                  equation 5)
//
// divided by the sum of the w_y.
class Loss {
 public:
  Loss(const TrainOptions& options, std::size_t classes, const torch::Device& device);

  // Of scores N x K in float32 and N class indices, on the device.
  torch::Tensor operator()(torch::Tensor scores, torch::Tensor labels) const;
  // The sum of the w_y, a scalar there.
  torch::Tensor WeightOf(torch::Tensor labels) const;

 private:
  // Of all log-probabilities, and of the examples' own.
  torch::Tensor Smoothed(const torch::Tensor& all_log_p, const torch::Tensor& log_p,
                         const torch::Tensor& labels) const;

  const LossKind kind_;
  const double gamma_;
  const double smoothing_;
  torch::Tensor weights_;  // of the classes that are left; undefined: all 1
  // Undefined where no class is left out.
  torch::Tensor present_;  // the classes that are left
  torch::Tensor index_;    // of each class among them
};

}  // namespace consilium
