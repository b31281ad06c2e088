#pragma once

#include <vector>

#include "client/batch/batch.h"
#include "client/preprocess/image.h"
#include "common/base/random.h"
#include "common/model/model_info.h"

namespace consilium {

// Pictures of input_size x input_size as the network wants them, each changed by a draw of its own;
// without labels.
Batch ToBatch(const std::vector<Image>& pictures, const ModelSpec& spec,
              const Augmentation& augmentation = {}, Random random = Random(0));

}  // namespace consilium
