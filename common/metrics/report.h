#pragma once

// The figures people read, computed from an Evaluation's counts. A figure that the counts do not
// define (recall of a class with no example, AUC with one class) is absent, not 0.

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/metrics/curves.h"
#include "common/metrics/evaluation.h"

namespace consilium {

struct Interval {
  double low = 0;
  double high = 0;
};

// One class against the rest.
struct ClassReport {
  std::uint64_t support = 0;          // examples of this class
  std::optional<double> precision;    // absent when the class was never predicted
  std::optional<double> recall;       // sensitivity
  std::optional<Interval> recall_ci;  // 95%, Wilson
  std::optional<double> specificity;
  std::optional<double> f1;
  std::optional<double> roc_auc;
  std::optional<double> roc_auc_bound;  // how far the scores' own area may be from it
  std::optional<double> average_precision;
  std::optional<OperatingPoint> at_specificity_90;
  std::optional<double> calibration_error;
};

struct Report {
  std::uint64_t examples = 0;
  std::optional<double> loss;  // mean cross-entropy, unweighted
  std::optional<double> accuracy;
  std::optional<Interval> accuracy_ci;      // 95%, Wilson
  std::optional<double> balanced_accuracy;  // mean recall over the classes that have examples
  std::optional<double> macro_f1;           // mean F1 over the same
  std::optional<double> kappa;              // Cohen 1960
  std::optional<double> correlation;        // Matthews', for K classes (Gorodkin 2004, equation 2)
  std::vector<ClassReport> classes;
};

Report Summarise(const Evaluation& evaluation);

// A figure by its name, as a number of which more is better: "accuracy", "balanced_accuracy",
// "macro_f1", "kappa", "matthews_correlation", "loss" (its negative), or "roc_auc", "recall",
// "specificity", "average_precision" of a class, as in "recall:covid". INVALID_ARGUMENT with the
// names for another one; FAILED_PRECONDITION where the counts do not define it.
StatusOr<double> Goodness(const Report& report, const std::vector<std::string>& classes,
                          const std::string& name);

// ROC-AUC of `positive`'s score between the examples of two classes alone, others left out:
// "COVID-19 against pneumonia within one hospital". Absent unless both have examples.
std::optional<double> PairwiseAuc(const Evaluation& evaluation, int positive, int negative);

// The interval that holds a proportion of `successes` in `trials` with 95% confidence (Wilson
// 1927).
Interval WilsonInterval(std::uint64_t successes, std::uint64_t trials);

}  // namespace consilium
