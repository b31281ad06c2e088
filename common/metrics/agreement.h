#pragma once

// How well numbers that were measured agree with those that experts gave.

#include <cstdint>
#include <optional>
#include <vector>

#include "common/metrics/report.h"

namespace consilium {

// Of N images.
struct MeasuredNumbers {
  std::vector<double> measured;
  std::vector<double> given;
  std::vector<std::int64_t> patients;  // the same for the images of a patient
};

// Intervals are of 95%, by patient (see bootstrap.h).
struct Agreement {
  std::size_t images = 0;
  std::size_t patients = 0;
  std::optional<double> correlation;  // Pearson's r; absent where either does not vary
  std::optional<Interval> correlation_ci;
  std::optional<double> mean_absolute_error;
  std::optional<Interval> mean_absolute_error_ci;
  // Of who always says the median of the numbers given.
  std::optional<double> error_of_median;
};
Agreement Agree(const MeasuredNumbers& numbers);

}  // namespace consilium
