#include "server/aggregate/weighted_mean.h"

#include <algorithm>
#include <array>

#include "common/base/widest.h"
#include "common/model/part.h"
#include "server/aggregate/trimmed_mean.h"

namespace consilium {
namespace {

// 32 KiB of sums and 16 KiB of each update's values: together in the L2 cache.
constexpr std::size_t kBlock = 4096;

// An update's values at a block's elements, and what they are multiplied by.
struct Term {
  const float* values;
  double weight;
};

// Adds four terms to each sum, one after the other: the sums go through the registers once for all.
CONSILIUM_WIDEST
void AddFour(const Term* terms, std::size_t count, double* sums) {
  const float* const a = terms[0].values;
  const float* const b = terms[1].values;
  const float* const c = terms[2].values;
  const float* const d = terms[3].values;
  const double wa = terms[0].weight;
  const double wb = terms[1].weight;
  const double wc = terms[2].weight;
  const double wd = terms[3].weight;
  for (std::size_t i = 0; i < count; ++i) {
    double sum = sums[i];
    sum += wa * static_cast<double>(a[i]);
    sum += wb * static_cast<double>(b[i]);
    sum += wc * static_cast<double>(c[i]);
    sum += wd * static_cast<double>(d[i]);
    sums[i] = sum;
  }
}

CONSILIUM_WIDEST
void AddOne(const Term& term, std::size_t count, double* sums) {
  for (std::size_t i = 0; i < count; ++i) {
    sums[i] += term.weight * static_cast<double>(term.values[i]);
  }
}

CONSILIUM_WIDEST
void AddStretched(const Term& term, double stretch, const float* base, std::size_t count,
                  double* sums) {
  for (std::size_t i = 0; i < count; ++i) {
    const double x = base[i];
    sums[i] += term.weight * (x + stretch * (term.values[i] - x));
  }
}

CONSILIUM_WIDEST
void Divide(const double* sums, double total, std::size_t count, float* out) {
  for (std::size_t i = 0; i < count; ++i) out[i] = static_cast<float>(sums[i] / total);
}

// `begin`: where these elements are in the updates. `base`: the same elements, which stretched
// changes are measured from; empty: nothing is stretched.
void MeanOfBlock(std::span<const float> base, std::span<const WeightedUpdate> updates, double total,
                 std::size_t begin, std::span<float> out) {
  std::array<double, kBlock> sums{};
  std::array<Term, 4> plain{};
  std::size_t waiting = 0;
  const auto add_waiting = [&] {
    for (std::size_t i = 0; i < waiting; ++i) AddOne(plain[i], out.size(), sums.data());
    waiting = 0;
  };
  for (const WeightedUpdate& update : updates) {
    const Term term{update.values.data() + begin, update.terms.weight};
    if (update.terms.stretch != 1 && !base.empty()) {
      add_waiting();  // in the updates' order
      AddStretched(term, update.terms.stretch, base.data(), out.size(), sums.data());
      continue;
    }
    plain[waiting++] = term;
    if (waiting < plain.size()) continue;
    AddFour(plain.data(), out.size(), sums.data());
    waiting = 0;
  }
  add_waiting();
  Divide(sums.data(), total, out.size(), out.data());
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
                  std::span<const std::size_t> places, std::optional<std::size_t> trim) {
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
    } else if (trim) {
      TrimmedMean(updates, *trim, there, part);
    } else {
      Mean(role == TensorRole::kParameter ? base_part : std::span<const float>(), updates, there,
           part);
    }
  }
}

}  // namespace consilium
