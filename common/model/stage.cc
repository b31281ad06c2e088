#include "common/model/stage.h"

#include <algorithm>

namespace consilium {
namespace {

bool Names(const std::string& name, const TensorSpec& tensor) {
  return (tensor.name + ".").starts_with(name + ".");
}

double RateOf(const TensorSpec& tensor, const std::vector<Stage>& stages, double progress) {
  for (const Stage& stage : stages) {
    const auto names = [&](const std::string& name) { return Names(name, tensor); };
    if (!std::ranges::any_of(stage.tensors, names)) continue;
    return progress < stage.frozen ? 0 : stage.rate;
  }
  return 1;
}

}  // namespace

Status CheckStages(const Layout& layout, const std::vector<Stage>& stages) {
  for (const Stage& stage : stages) {
    for (const std::string& name : stage.tensors) {
      const auto is_it = [&](const TensorSpec& tensor) { return Names(name, tensor); };
      if (std::ranges::any_of(layout.tensors(), is_it)) continue;
      return InvalidArgument("training.stages: this network has no tensor called '{}'", name);
    }
  }
  return OkStatus();
}

std::vector<double> StageRates(const Layout& layout, const std::vector<Stage>& stages, int round,
                               int rounds) {
  const double progress = static_cast<double>(round - 1) / rounds;
  std::vector<double> rates;
  for (const TensorSpec& tensor : layout.tensors()) {
    rates.push_back(RateOf(tensor, stages, progress));
  }
  return rates;
}

TensorMask FrozenTensors(const Layout& layout, const std::vector<Stage>& stages, int round,
                         int rounds) {
  TensorMask frozen;
  for (const double rate : StageRates(layout, stages, round, rounds)) frozen.push_back(rate == 0);
  return frozen;
}

}  // namespace consilium
