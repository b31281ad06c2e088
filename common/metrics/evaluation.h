#pragma once

// What a site sends of an evaluation: counts that can be summed over sites, never a patient's
// score.

#include <cstdint>
#include <span>
#include <vector>

#include "common/base/status.h"

namespace consilium {

// Summable counts over a set of examples with K classes. A value; not thread-safe.
//
// confusion is K x K, [true class][predicted class], row-major. histogram is K x K x kBins,
// [score's class][true class][bin]: how many examples of that true class got a probability for the
// score's class in [bin / kBins, (bin + 1) / kBins). From it come the ROC and precision-recall
// curves of every class against the rest, and of any two classes against each other.
class Evaluation {
 public:
  static constexpr int kBins = 256;

  Evaluation() = default;
  explicit Evaluation(int classes);

  // From counts that came from elsewhere: INVALID_ARGUMENT unless the sizes fit the classes, the
  // sums agree, and the loss is a finite number of at least 0.
  static StatusOr<Evaluation> FromCounts(int classes, std::vector<std::uint64_t> confusion,
                                         std::vector<std::uint64_t> histogram, double loss_sum);

  // One example: its probabilities (K of them, summing to 1), its true class, its loss.
  void Add(std::span<const float> probabilities, int label, double loss);
  // Both must have the same classes, or one none.
  Status Merge(const Evaluation& other);

  int classes() const { return classes_; }
  std::uint64_t examples() const;
  std::uint64_t confusion(int truth, int predicted) const {
    return confusion_[static_cast<std::size_t>(truth * classes_ + predicted)];
  }
  std::uint64_t histogram(int score_class, int truth, int bin) const {
    return histogram_[static_cast<std::size_t>((score_class * classes_ + truth) * kBins + bin)];
  }
  double loss_sum() const { return loss_sum_; }
  const std::vector<std::uint64_t>& confusion_counts() const { return confusion_; }
  const std::vector<std::uint64_t>& histogram_counts() const { return histogram_; }

  bool operator==(const Evaluation&) const = default;

 private:
  int classes_ = 0;
  std::vector<std::uint64_t> confusion_;
  std::vector<std::uint64_t> histogram_;
  double loss_sum_ = 0;
};

}  // namespace consilium
