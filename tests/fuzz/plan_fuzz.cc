// A plan's YAML: a plan that passes is one that the coordinator can read.

#include "common/config/plan.h"
#include "common/config/yaml_message.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace consilium;
  v1::RunPlan plan = DefaultPlan();
  if (!MergeYaml("plan.yaml", std::string(fuzz::AsText(data, size)), &plan).ok()) return 0;
  if (!CheckPlan(plan).ok()) return 0;
  v1::RunPlan again;
  fuzz::Require(again.ParseFromString(plan.SerializeAsString()) && CheckPlan(again).ok());
  return 0;
}
