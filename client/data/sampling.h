#pragma once

// In which order an epoch takes a site's images, and how often each.

#include <cstdint>
#include <span>
#include <vector>

#include "common/base/random.h"

namespace consilium {

enum class Sampling : std::uint8_t {
  kInOrder,
  kShuffled,         // each image once
  kClassBalanced,    // as many of each class that there is
  kPatientBalanced,  // as many of each patient
};

// An epoch of as many images as there are, by their indices. Where it is balanced, each group gives
// as many as any other, or one fewer: its images in random order, all of them before one comes
// again. `labels` and `patients` name each image's group. The same numbers give the same order.
std::vector<std::size_t> DrawEpoch(Sampling sampling, std::span<const std::int64_t> labels,
                                   std::span<const std::int64_t> patients, Random random);

}  // namespace consilium
