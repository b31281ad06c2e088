#pragma once

// A run's plan: its defaults, its YAML face, and what makes one valid.

#include <filesystem>

#include "common/base/status.h"
#include "consilium/v1/plan.pb.h"

namespace consilium {

// A plan's site_names: the manifests of its models show pseudonyms in the place of names.
inline constexpr char kPseudonyms[] = "pseudonyms";

// The one place of every default.
v1::RunPlan DefaultPlan();

// Defaults, then the file's fields over them, checked.
StatusOr<v1::RunPlan> ReadPlan(const std::filesystem::path& path);

// INVALID_ARGUMENT that names the first field that cannot be. The coordinator applies it again to
// what it receives. Whether the architecture exists is for the hospitals to say.
Status CheckPlan(const v1::RunPlan& plan);

}  // namespace consilium
