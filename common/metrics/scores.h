#pragma once

// A model's scores, image by image, with whose they are. They stay in the hospital: what leaves it
// is their Evaluation.

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "common/metrics/evaluation.h"
#include "common/metrics/report.h"

namespace consilium {

// Of N images and K classes.
struct Scores {
  int classes = 0;                     // K
  std::vector<float> probabilities;    // N x K, each row with the sum 1
  std::vector<std::int64_t> labels;    // N class indices
  std::vector<std::int64_t> patients;  // N numbers, the same for the images of a patient

  std::size_t size() const { return labels.size(); }
  std::span<const float> row(std::size_t i) const {
    const auto width = static_cast<std::size_t>(classes);
    return std::span(probabilities).subspan(i * width, width);
  }
};

// Less counts as this much: a probability whose logarithm is finite.
inline constexpr float kSmallestProbability = 1e-12F;

// The loss is cross-entropy; that of a sure mistake is kept finite.
Evaluation Count(const Scores& scores);

// These images alone, in this order.
Scores Choose(const Scores& scores, const std::vector<std::size_t>& images);

// What is to be known of a set of images; a figure that it does not define is absent.
using Figures = std::function<std::vector<std::optional<double>>(const Evaluation&)>;

// 95% intervals by patient, see bootstrap.h.
std::vector<std::optional<Interval>> BootstrapByPatient(const Scores& scores,
                                                        const Figures& figures, int draws = 1000,
                                                        std::uint64_t seed = 1);

// The intervals of the figures that a report leads with.
struct ClassIntervals {
  std::optional<Interval> recall;
  std::optional<Interval> specificity;
  std::optional<Interval> roc_auc;
  std::optional<Interval> average_precision;
  std::vector<std::optional<Interval>> roc_auc_against;  // each other class; absent against itself
};
struct PatientIntervals {
  std::size_t patients = 0;
  std::optional<Interval> accuracy;
  std::optional<Interval> balanced_accuracy;
  std::vector<ClassIntervals> classes;
};
PatientIntervals IntervalsByPatient(const Scores& scores);

}  // namespace consilium
