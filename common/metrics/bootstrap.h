#pragma once

// Intervals for figures of images, of which those of one patient do not count as independent.

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "common/metrics/report.h"

namespace consilium {

// The indices of the images of each patient.
using ImagesOfPatients = std::vector<std::vector<std::size_t>>;
ImagesOfPatients GroupByPatient(std::span<const std::int64_t> patients);

// What is to be known of these images, some of which may be there more than once; a figure that
// they do not define is absent. Always as many figures.
using FiguresOf =
    std::function<std::vector<std::optional<double>>(const std::vector<std::size_t>& images)>;

// A 95% interval for each figure: the percentiles of what it comes to when as many patients as
// there are are drawn with replacement, each with all of its images (the cluster bootstrap; Field
// and Welsh, JRSS B 2007, section 2.1; percentiles as in Efron and Tibshirani 1993, section 13.3).
// The same seed gives the same intervals. Absent where a figure was not defined in one of 20 draws
// or more, and without any patient.
std::vector<std::optional<Interval>> Bootstrap(const ImagesOfPatients& patients,
                                               const FiguresOf& figures, int draws,
                                               std::uint64_t seed);

}  // namespace consilium
