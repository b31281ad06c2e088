#include "server/aggregate/weighted_mean.h"

#include <algorithm>
#include <array>

#include "common/model/part.h"

namespace consilium {
namespace {

// 32 KiB of sums and 16 KiB of each update's values: together in the L2 cache.
constexpr std::size_t kBlock = 4096;

// `begin`: where these elements are in the updates. `base`: the same elements, which stretched
// changes are measured from; empty: nothing is stretched.
void MeanOfBlock(std::span<const float> base, std::span<const WeightedUpdate> updates, double total,
                 std::size_t begin, std::span<float> out) {
  std::array<double, kBlock> sums{};
  for (const WeightedUpdate& update : updates) {
    const float* values = update.values.data() + begin;
    const double weight = update.terms.weight;
    const double stretch = update.terms.stretch;
    if (stretch == 1 || base.empty()) {
      for (std::size_t i = 0; i < out.size(); ++i) {
        sums[i] += weight * static_cast<double>(values[i]);
      }
      continue;
    }
    for (std::size_t i = 0; i < out.size(); ++i) {
      const double x = base[i];
      sums[i] += weight * (x + stretch * (values[i] - x));
    }
  }
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(sums[i] / total);
}

void Mean(std::span<const float> base, std::span<const WeightedUpdate> updates, std::size_t begin,
          std::span<float> out) {
  double total = 0;
  for (const WeightedUpdate& update : updates) total += update.terms.weight;
  for (std::size_t done = 0; done < out.size(); done += kBlock) {
    const std::size_t count = std::min(kBlock, out.size() - done);
    MeanOfBlock(base.empty() ? base : base.subspan(done, count), updates, total, begin + done,
                out.subspan(done, count));
  }
}

void Largest(std::span<const WeightedUpdate> updates, std::size_t begin, std::span<float> out) {
  std::copy_n(updates[0].values.begin() + static_cast<std::ptrdiff_t>(begin), out.size(),
              out.begin());
  for (const WeightedUpdate& update : updates.subspan(1)) {
    for (std::size_t i = 0; i < out.size(); ++i)
      out[i] = std::max(out[i], update.values[begin + i]);
  }
}

}  // namespace

void WeightedMean(const Layout& layout, std::span<const float> base,
                  std::span<const WeightedUpdate> updates, std::size_t begin, std::span<float> out,
                  std::span<const std::size_t> places) {
  const std::size_t end = begin + out.size();
  for (std::size_t t = 0; t < layout.tensors().size(); ++t) {
    const std::size_t first = std::max(begin, layout.offset(t));
    const std::size_t last = std::min(end, layout.offset(t) + layout.tensors()[t].NumElements());
    if (first >= last) continue;
    const std::span<float> part = out.subspan(first - begin, last - first);
    const std::span<const float> base_part = base.subspan(first, part.size());
    const std::size_t place = places.empty() ? layout.offset(t) : places[t];
    const TensorRole role = layout.tensors()[t].role;
    if (role == TensorRole::kLocal || place == kNowhere) {
      std::ranges::copy(base_part, part.begin());
      continue;
    }
    const std::size_t there = place + (first - layout.offset(t));
    if (role == TensorRole::kCounter) {
      Largest(updates, there, part);
    } else {
      Mean(role == TensorRole::kParameter ? base_part : std::span<const float>(), updates, there,
           part);
    }
  }
}

}  // namespace consilium
