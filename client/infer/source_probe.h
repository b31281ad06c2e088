#pragma once

// How well it can be told from what a network sees of a picture where the picture comes from. In
// public sets of COVID-19 the source often tells the class, so features that give the source away
// are a way to answer without a look at the lungs (DeGrave et al., Nature Machine Intelligence
// 2021).

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace consilium {

struct SourceProbe {
  std::size_t images = 0;
  std::size_t sources = 0;
  double accuracy = 0;
  double balanced_accuracy = 0;  // at chance: 1 / sources
};

// A linear probe (Alain and Bengio 2016): ridge regression from features, N x width, to the sources
// one against the rest, each image answered by a fit to the other four fifths of the groups
// (patients; an empty one is a group of its own). Images whose source is empty, or has fewer than
// ten images, take no part; none where fewer than two sources are left. INTERNAL where the
// equations cannot be solved.
StatusOr<std::optional<SourceProbe>> ProbeSources(std::span<const float> features, int width,
                                                  const std::vector<std::string>& sources,
                                                  const std::vector<std::string>& groups);

}  // namespace consilium
