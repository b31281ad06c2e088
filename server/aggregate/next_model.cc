#include "server/aggregate/next_model.h"

#include <algorithm>
#include <optional>
#include <thread>
#include <vector>

#include "common/model/part.h"
#include "server/aggregate/control_variate.h"
#include "server/aggregate/server_optimizer.h"

namespace consilium {
namespace {

// How many of the lowest and of the highest are left out of so many, where all count alike.
std::optional<std::size_t> TrimOf(Combination combination, std::size_t updates) {
  const std::size_t most = (updates - 1) / 2;
  switch (combination) {
    case Combination::kMean:
      return std::nullopt;
    case Combination::kMedian:
      return most;
    case Combination::kTrimmedMean:
      return std::min(most, std::max<std::size_t>(1, updates / 5));
    case Combination::kKrum:
      return 0;
  }
  return std::nullopt;
}

void MakePart(const RoundInputs& inputs, std::size_t begin, std::span<float> model,
              std::span<float> moments) {
  WeightedMean(inputs.layout, inputs.base, inputs.updates, begin, model, inputs.places,
               TrimOf(inputs.combination, inputs.updates.size()));
  const std::size_t per_element = MomentsPerElement(inputs.optimizer.kind);
  if (per_element == 0) return;
  if (inputs.moments.empty()) {
    BeginMoments(inputs.optimizer, moments);
  } else {
    std::ranges::copy(inputs.moments.subspan(begin * per_element, moments.size()), moments.begin());
  }
  for (const TensorPart& part :
       TensorsIn(inputs.layout, begin, begin + model.size(), inputs.places)) {
    const TensorRole role = inputs.layout.tensors()[part.tensor].role;
    if (role != TensorRole::kParameter || part.place == kNowhere) continue;
    const auto base_here = inputs.base.subspan(part.begin, part.size());
    const auto moments_here =
        moments.subspan((part.begin - begin) * per_element, part.size() * per_element);
    if (inputs.optimizer.kind == ServerOptimizerKind::kControlVariate) {
      StepControlVariate(base_here, inputs.updates, inputs.participation, part.place, moments_here);
    } else {
      StepServer(inputs.optimizer, base_here, moments_here,
                 model.subspan(part.begin - begin, part.size()));
    }
  }
}

}  // namespace

void MakeNextModel(const RoundInputs& inputs, std::size_t begin, std::span<float> model,
                   std::span<float> moments) {
  const std::size_t per_element = MomentsPerElement(inputs.optimizer.kind);
  const std::size_t cores = std::max(1U, std::thread::hardware_concurrency());
  const std::size_t share = (model.size() + cores - 1) / cores;
  std::vector<std::jthread> threads;
  for (std::size_t first = 0; first < model.size(); first += share) {
    const std::size_t count = std::min(share, model.size() - first);
    threads.emplace_back([=, &inputs] {
      MakePart(inputs, begin + first, model.subspan(first, count),
               moments.subspan(first * per_element, count * per_element));
    });
  }
}

}  // namespace consilium
