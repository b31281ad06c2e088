#pragma once

// What a hospital sends of a model that it has trained.

#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/model/model_file.h"
#include "consilium/v1/plan.pb.h"

namespace consilium {

// A model file: the header and, behind it, the numbers, in one buffer.
std::string EncodeModel(const Model& model);

// The update that `trained` is to `base`, both of the tensors that were trained alone, in the
// plan's encoding. `site` is the hospital's name: no two round in the same way. `residual`: see
// EncodeUpdate. INVALID_ARGUMENT where it is to be encoded and not finite.
StatusOr<std::string> EncodeToSend(const v1::RunPlan& plan, const std::string& site,
                                   const Model& trained, const ModelState& base,
                                   std::vector<float>& residual);

}  // namespace consilium
