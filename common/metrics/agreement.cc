#include "common/metrics/agreement.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/metrics/bootstrap.h"

namespace consilium {
namespace {

constexpr int kDraws = 1000;

using Images = std::vector<std::size_t>;

// Exactly: sums about a mean are rounded.
bool Varies(const std::vector<double>& values, const Images& images) {
  return std::ranges::any_of(
      images, [&](std::size_t image) { return values[image] != values[images.front()]; });
}

std::optional<double> Correlation(const MeasuredNumbers& numbers, const Images& images) {
  if (!Varies(numbers.measured, images) || !Varies(numbers.given, images)) return std::nullopt;
  const auto count = static_cast<double>(images.size());
  double mean_x = 0;
  double mean_y = 0;
  for (const std::size_t i : images) {
    mean_x += numbers.measured[i] / count;
    mean_y += numbers.given[i] / count;
  }
  double xx = 0;
  double yy = 0;
  double xy = 0;
  for (const std::size_t i : images) {
    const double x = numbers.measured[i] - mean_x;
    const double y = numbers.given[i] - mean_y;
    xx += x * x;
    yy += y * y;
    xy += x * y;
  }
  return xy / std::sqrt(xx * yy);
}

std::optional<double> MeanAbsoluteError(const MeasuredNumbers& numbers, const Images& images) {
  if (images.empty()) return std::nullopt;
  double sum = 0;
  for (const std::size_t i : images) sum += std::abs(numbers.measured[i] - numbers.given[i]);
  return sum / static_cast<double>(images.size());
}

}  // namespace

Agreement Agree(const MeasuredNumbers& numbers) {
  Images all(numbers.given.size());
  std::iota(all.begin(), all.end(), 0);
  const auto patients = GroupByPatient(numbers.patients);
  const auto intervals = Bootstrap(
      patients,
      [&](const Images& images) {
        return std::vector{Correlation(numbers, images), MeanAbsoluteError(numbers, images)};
      },
      kDraws, /*seed=*/1);
  Agreement agreement{.images = all.size(),
                      .patients = patients.size(),
                      .correlation = Correlation(numbers, all),
                      .correlation_ci = intervals[0],
                      .mean_absolute_error = MeanAbsoluteError(numbers, all),
                      .mean_absolute_error_ci = intervals[1],
                      .error_of_median = {}};
  if (all.empty()) return agreement;
  std::vector<double> sorted = numbers.given;
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
  std::ranges::nth_element(sorted, middle);
  const MeasuredNumbers median{std::vector(sorted.size(), *middle), numbers.given, {}};
  agreement.error_of_median = MeanAbsoluteError(median, all);
  return agreement;
}

}  // namespace consilium
