#pragma once

// What a network makes of pictures before it decides, to tell how far one is from others.

#include <vector>

#include "client/batch/batch.h"
#include "client/nn/network.h"
#include "common/base/status.h"

namespace consilium {

// Of N images, K classes, F features.
struct Embedding {
  int classes = 0;
  int width = 0;                // F
  std::vector<float> logits;    // N x K, before the softmax
  std::vector<float> features;  // N x F: the last feature maps' means over the picture; each row's
                                // L2 norm is 1, or 0 where nothing was seen
};

StatusOr<Embedding> Embed(Network& network, const Batch& batch);

}  // namespace consilium
