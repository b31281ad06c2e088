#pragma once

// What a hospital sends of a model that it has trained.

#include <span>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/model/model_file.h"
#include "consilium/v1/plan.pb.h"

namespace consilium {

// A model file: the header and, behind it, the numbers, in one buffer.
std::string EncodeModel(const Model& model);

// What a training made of a global model: of the tensors that were trained alone, in the layout's
// order.
struct Trained {
  const ModelInfo& info;
  const Layout& layout;
  std::span<const float> base;
  std::span<const float> values;
};

// The update in the plan's encoding. `site` is the sender's name: no two round in the same way.
// `residual`: see EncodeUpdate. INVALID_ARGUMENT where it is to be encoded and not finite.
StatusOr<std::string> EncodeToSend(const v1::RunPlan& plan, const std::string& site,
                                   const Trained& trained, std::vector<float>& residual);

}  // namespace consilium
