#include "common/metrics/evaluation.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

namespace consilium {
namespace {

constexpr int kMaxClasses = 64;

std::size_t Square(int classes) {
  return static_cast<std::size_t>(classes) * static_cast<std::size_t>(classes);
}

}  // namespace

Evaluation::Evaluation(int classes)
    : classes_(classes), confusion_(Square(classes)), histogram_(Square(classes) * kBins) {}

StatusOr<Evaluation> Evaluation::FromCounts(int classes, std::vector<std::uint64_t> confusion,
                                            std::vector<std::uint64_t> histogram, double loss_sum) {
  if (classes < 0 || classes > kMaxClasses) return InvalidArgument("{} classes", classes);
  if (confusion.size() != Square(classes) || histogram.size() != Square(classes) * kBins) {
    return InvalidArgument("{} confusion and {} histogram counts do not fit {} classes",
                           confusion.size(), histogram.size(), classes);
  }
  if (!(loss_sum >= 0) || !std::isfinite(loss_sum)) return InvalidArgument("loss is {}", loss_sum);
  constexpr std::uint64_t kMaxCount = std::uint64_t{1} << 40;
  const auto too_large = [](std::uint64_t count) { return count > kMaxCount; };
  if (std::any_of(confusion.begin(), confusion.end(), too_large) ||
      std::any_of(histogram.begin(), histogram.end(), too_large)) {
    return InvalidArgument("a count is above {}", kMaxCount);
  }
  Evaluation evaluation;
  evaluation.classes_ = classes;
  evaluation.confusion_ = std::move(confusion);
  evaluation.histogram_ = std::move(histogram);
  evaluation.loss_sum_ = loss_sum;
  for (int truth = 0; truth < classes; ++truth) {
    const auto row = evaluation.confusion_.begin() + truth * classes;
    const std::uint64_t support = std::accumulate(row, row + classes, std::uint64_t{0});
    for (int score = 0; score < classes; ++score) {
      const auto bins = evaluation.histogram_.begin() + (score * classes + truth) * kBins;
      if (std::accumulate(bins, bins + kBins, std::uint64_t{0}) != support) {
        return InvalidArgument("histogram and confusion counts disagree for class {}", truth);
      }
    }
  }
  return evaluation;
}

void Evaluation::Add(std::span<const float> probabilities, int label, double loss) {
  const auto best = std::max_element(probabilities.begin(), probabilities.end());
  const auto predicted = static_cast<int>(best - probabilities.begin());
  ++confusion_[static_cast<std::size_t>(label * classes_ + predicted)];
  for (int score = 0; score < classes_; ++score) {
    const float p = probabilities[static_cast<std::size_t>(score)];
    const int bin = std::clamp(static_cast<int>(p * kBins), 0, kBins - 1);
    ++histogram_[static_cast<std::size_t>((score * classes_ + label) * kBins + bin)];
  }
  loss_sum_ += loss;
}

Status Evaluation::Merge(const Evaluation& other) {
  if (other.classes_ == 0) return OkStatus();
  if (classes_ == 0) {
    *this = other;
    return OkStatus();
  }
  if (classes_ != other.classes_) {
    return InvalidArgument("evaluations of {} and {} classes cannot be summed", classes_,
                           other.classes_);
  }
  std::transform(confusion_.begin(), confusion_.end(), other.confusion_.begin(), confusion_.begin(),
                 std::plus<>());
  std::transform(histogram_.begin(), histogram_.end(), other.histogram_.begin(), histogram_.begin(),
                 std::plus<>());
  loss_sum_ += other.loss_sum_;
  return OkStatus();
}

std::uint64_t Evaluation::examples() const {
  return std::accumulate(confusion_.begin(), confusion_.end(), std::uint64_t{0});
}

}  // namespace consilium
