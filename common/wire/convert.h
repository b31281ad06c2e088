#pragma once

// Between the domain's structs and the messages. To… cannot fail; From… checks what came from
// outside and gives INVALID_ARGUMENT that names the field.

#include "common/base/status.h"
#include "common/metrics/evaluation.h"
#include "common/model/model_info.h"
#include "common/model/stage.h"
#include "consilium/v1/model.pb.h"
#include "consilium/v1/plan.pb.h"

namespace consilium {

v1::ModelSpec ToProto(const ModelSpec& spec);
StatusOr<ModelSpec> FromProto(const v1::ModelSpec& message);

// Of a plan that was checked.
std::vector<Stage> StagesOf(const v1::RunPlan& plan);

v1::Evaluation ToProto(const Evaluation& evaluation);
StatusOr<Evaluation> FromProto(const v1::Evaluation& message);

}  // namespace consilium
