#pragma once

// What score histograms say of one class against others: areas, curves, operating points and
// calibration. They can be summed over sites, so each figure is that of the pooled examples; a
// score counts as any other in its bin, and where that matters the header says by how much.

#include <array>
#include <optional>
#include <vector>

#include "common/metrics/evaluation.h"

namespace consilium {

// Examples by the bin of their score for the positive class.
struct ScoreCounts {
  std::array<double, Evaluation::kBins> positives{};
  std::array<double, Evaluation::kBins> negatives{};
};
ScoreCounts OneAgainstRest(const Evaluation& evaluation, int positive);
// The examples of two classes alone.
ScoreCounts OneAgainstOne(const Evaluation& evaluation, int positive, int negative);

// The chance that a positive scores above a negative, ties counting half: the trapezoidal area
// under the ROC curve whose points are the bins' edges (Hanley and McNeil 1982). Absent unless both
// sides have examples.
std::optional<double> RocAuc(const ScoreCounts& counts);
// How far it may be from the area of the scores themselves: half of the pairs that share a bin.
std::optional<double> RocAucBound(const ScoreCounts& counts);
// Sum over thresholds of (recall step) x precision, from the highest score down. Absent without a
// positive.
std::optional<double> AveragePrecision(const ScoreCounts& counts);

// What calling everything positive that scores at least `threshold` comes to.
struct OperatingPoint {
  double threshold = 0;
  double sensitivity = 0;
  double specificity = 0;
  std::optional<double> precision;  // absent where nothing is called positive
};
// From threshold 1, with which nothing is, down to 0, with which everything is: kBins + 1 points,
// the ROC curve and the precision-recall curve. Empty unless both sides have examples.
std::vector<OperatingPoint> Curve(const ScoreCounts& counts);
// The most sensitive point that is at least so specific. Absent unless both sides have examples.
std::optional<OperatingPoint> AtSpecificity(const ScoreCounts& counts, double specificity);

// What is said of the examples whose score lies in a range, and what is so. A score counts as the
// centre of its histogram bin.
struct ReliabilityBin {
  double examples = 0;
  double probability = 0;  // the sum of their scores
  double positives = 0;
};
// Over `bins` ranges of equal width, which divide kBins; empty ones are among them.
std::vector<ReliabilityBin> Reliability(const ScoreCounts& counts, int bins = 16);

// The expected calibration error of the class's probability (Naeini et al., AAAI 2015, for each
// class as Kull et al., NeurIPS 2019): over `bins` bins of equal width, the mean distance between
// the mean probability and the share of positives, weighted by examples. `bins` divides kBins. A
// score counts as the centre of its histogram bin, so it is off by at most 1 / (2 kBins).
std::optional<double> CalibrationError(const ScoreCounts& counts, int bins = 16);

}  // namespace consilium
