#include "server/aggregate/weighted_mean.h"

#include <algorithm>
#include <array>
#include <utility>

#include "common/base/widest.h"
#include "common/model/part.h"
#include "server/aggregate/trimmed_mean.h"

namespace consilium {
namespace {

// 64 KiB of sums: in the L2 cache.
constexpr std::size_t kBlock = 8192;
// Updates that go by at once, each with a pointer and a weight in registers.
constexpr std::size_t kStreams = 10;

// An update's values at a block's elements, and what they are multiplied by.
struct Term {
  const float* values;
  double weight;
};

// The weighted sums of so many terms, in their order.
template <std::size_t... kTerm>
[[gnu::always_inline]] inline void SumOf(const Term* terms, std::size_t count, double* sums,
                                         std::index_sequence<kTerm...> /*which*/) {
  const std::array<const float*, sizeof...(kTerm)> values = {terms[kTerm].values...};
  const std::array<double, sizeof...(kTerm)> weights = {terms[kTerm].weight...};
  for (std::size_t i = 0; i < count; ++i) {
    double sum = 0;
    ((sum += weights[kTerm] * static_cast<double>(values[kTerm][i])), ...);
    sums[i] = sum;
  }
}

// At most kCount terms.
template <std::size_t kCount>
[[gnu::always_inline]] inline void SumUpTo(std::span<const Term> terms, std::size_t count,
                                           double* sums) {
  if constexpr (kCount == 0) {
    std::fill_n(sums, count, 0.0);
  } else if (terms.size() == kCount) {
    SumOf(terms.data(), count, sums, std::make_index_sequence<kCount>());
  } else {
    SumUpTo<kCount - 1>(terms, count, sums);
  }
}

CONSILIUM_WIDEST
void Sum(std::span<const Term> terms, std::size_t count, double* sums) {
  SumUpTo<kStreams>(terms, count, sums);
}

CONSILIUM_WIDEST
void Add(const double* more, std::size_t count, double* sums) {
  for (std::size_t i = 0; i < count; ++i) sums[i] += more[i];
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
  std::array<double, kBlock> sums;
  std::array<Term, kStreams> plain{};
  std::size_t waiting = 0;
  bool begun = false;  // there are sums yet
  const auto add_waiting = [&] {
    const auto terms = std::span(plain).first(std::exchange(waiting, 0));
    if (!std::exchange(begun, true)) return Sum(terms, out.size(), sums.data());
    std::array<double, kBlock> more;
    Sum(terms, out.size(), more.data());
    Add(more.data(), out.size(), sums.data());
  };
  for (const WeightedUpdate& update : updates) {
    const Term term{update.at(begin, out.size()).data(), update.terms.weight};
    if (update.terms.stretch == 1 || base.empty()) {
      plain[waiting++] = term;
      if (waiting == plain.size()) add_waiting();
    } else {
      if (waiting > 0 || !begun) add_waiting();  // in the updates' order
      AddStretched(term, update.terms.stretch, base.data(), out.size(), sums.data());
    }
  }
  if (waiting > 0) add_waiting();
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
  std::ranges::copy(updates[0].at(begin, out.size()), out.begin());
  for (const WeightedUpdate& update : updates.subspan(1)) {
    const auto values = update.at(begin, out.size());
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = std::max(out[i], values[i]);
  }
}

}  // namespace

void WeightedMean(const Layout& layout, std::span<const float> base,
                  std::span<const WeightedUpdate> updates, std::size_t begin, std::span<float> out,
                  std::span<const std::size_t> places, std::optional<std::size_t> trim) {
  for (const TensorPart& part : TensorsIn(layout, begin, begin + out.size(), places)) {
    const std::span<float> out_part = out.subspan(part.begin - begin, part.size());
    const std::span<const float> base_part = base.subspan(part.begin, part.size());
    const TensorRole role = layout.tensors()[part.tensor].role;
    if (role == TensorRole::kLocal || part.place == kNowhere) {
      std::ranges::copy(base_part, out_part.begin());
    } else if (role == TensorRole::kCounter) {
      Largest(updates, part.place, out_part);
    } else if (trim) {
      TrimmedMean(updates, *trim, part.place, out_part);
    } else {
      Mean(role == TensorRole::kParameter ? base_part : std::span<const float>(), updates,
           part.place, out_part);
    }
  }
}

}  // namespace consilium
