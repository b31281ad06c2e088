#include "server/aggregate/trimmed_mean.h"

#include <algorithm>
#include <bit>
#include <utility>
#include <vector>

#include "common/base/widest.h"

namespace consilium {
namespace {

// A block's rows, one an update, stay in the L2 cache.
constexpr std::size_t kBlockValues = std::size_t{64} << 10;
constexpr std::size_t kLeastWidth = 16;
constexpr std::size_t kMostWidth = 1024;

// Puts the lower of each two values into the first row.
CONSILIUM_WIDEST
void Exchange(float* first, float* second, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const float a = first[i];
    const float b = second[i];
    first[i] = b < a ? b : a;
    second[i] = b < a ? a : b;
  }
}

CONSILIUM_WIDEST
void Copy(const float* values, std::size_t count, float* row) {
  for (std::size_t i = 0; i < count; ++i) row[i] = values[i];
}

CONSILIUM_WIDEST
void Add(const float* values, std::size_t count, double* sums) {
  for (std::size_t i = 0; i < count; ++i) sums[i] += static_cast<double>(values[i]);
}

CONSILIUM_WIDEST
void Divide(const double* sums, double count_of_rows, std::size_t count, float* out) {
  for (std::size_t i = 0; i < count; ++i) out[i] = static_cast<float>(sums[i] / count_of_rows);
}

// Which rows to compare, in turn, so that every column ends up sorted: Batcher's merge exchange,
// for any number of rows (Knuth, The Art of Computer Programming 3, 5.2.2, algorithm M).
std::vector<std::pair<std::size_t, std::size_t>> SortingNetwork(std::size_t rows) {
  std::vector<std::pair<std::size_t, std::size_t>> network;
  if (rows < 2) return network;
  const std::size_t top = std::bit_ceil(rows) / 2;
  for (std::size_t p = top; p > 0; p /= 2) {
    std::size_t q = top;
    std::size_t r = 0;
    std::size_t d = p;
    while (true) {
      for (std::size_t i = 0; i + d < rows; ++i) {
        if ((i & p) == r) network.emplace_back(i, i + d);
      }
      if (q == p) break;
      d = q - p;
      q /= 2;
      r = p;
    }
  }
  return network;
}

}  // namespace

void TrimmedMean(std::span<const WeightedUpdate> updates, std::size_t trim, std::size_t begin,
                 std::span<float> out) {
  const std::size_t rows = updates.size();
  const std::size_t width = std::clamp(kBlockValues / rows, kLeastWidth, kMostWidth);
  const auto network = SortingNetwork(rows);
  std::vector<float> values(rows * width);
  std::vector<double> sums(width);
  for (std::size_t done = 0; done < out.size(); done += width) {
    const std::size_t count = std::min(width, out.size() - done);
    const auto row = [&](std::size_t i) { return values.data() + i * width; };
    for (std::size_t i = 0; i < rows; ++i) {
      Copy(updates[i].at(begin + done, count).data(), count, row(i));
    }
    for (const auto& [low, high] : network) Exchange(row(low), row(high), count);
    std::ranges::fill(sums, 0.0);
    for (std::size_t i = trim; i < rows - trim; ++i) Add(row(i), count, sums.data());
    Divide(sums.data(), static_cast<double>(rows - 2 * trim), count, out.data() + done);
  }
}

}  // namespace consilium
