#pragma once

// Parts of a network that a plan has trained otherwise than the rest: slower, or not at all for the
// first part of the run (what was pretrained, while the new head finds its place).

#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/model/part.h"

namespace consilium {

struct Stage {
  std::vector<std::string> tensors;  // names, or beginnings of names: "layer1"
  double rate = 1;                   // factor on the learning rate
  double frozen = 0;                 // share of the run, from its beginning, that it is frozen for

  bool operator==(const Stage&) const = default;
};

// INVALID_ARGUMENT that says which name is of no tensor of the layout.
Status CheckStages(const Layout& layout, const std::vector<Stage>& stages);

// The factor on each tensor's learning rate in a round (1 is the first), of the first stage that
// names it: 0 where it is frozen, which it is for a round as a whole.
std::vector<double> StageRates(const Layout& layout, const std::vector<Stage>& stages, int round,
                               int rounds);

// Those that do not change in that round: they are not part of an update.
TensorMask FrozenTensors(const Layout& layout, const std::vector<Stage>& stages, int round,
                         int rounds);

}  // namespace consilium
