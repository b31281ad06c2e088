#pragma once

// What training minimises where a network labels pixels.

#include <torch/torch.h>

namespace consilium {

// Of scores N x 3 x H x W in float32 and N x H x W labels as client/batch/batch.h has them. With p
// the softmax over the tissues, the mean over all pixels of
//
//   -log p_tissue            where the tissue is known
//   -log(p_lung + p_opacity) where it is known to be lung alone
//
// and, of the pictures of whose lungs no more is known than the share e that is affected, the mean
// of kExtentWeight (s - e)^2 + kSharpness u: with q = p_opacity / (p_lung + p_opacity), s is the
// mean of q over the lungs' pixels and u that of q (1 - q), so that a pixel is one or the other and
// not every pixel a little of both. That is learning from label proportions (Yu et al., "On
// learning from label proportions", 2014, equation 3, with the square for the loss), so that a
// network is taught where opacities are by hospitals that only know how large they are.
torch::Tensor PixelLoss(const torch::Tensor& scores, const torch::Tensor& labels);

}  // namespace consilium
