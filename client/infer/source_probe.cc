#include "client/infer/source_probe.h"

#include <algorithm>
#include <map>
#include <opencv2/core.hpp>

namespace consilium {
namespace {

constexpr int kFolds = 5;
constexpr std::size_t kLeastImages = 10;
constexpr double kRidge = 1e-3;  // of the features' mean square

// The images that take part, as rows: features and a constant, the source's number, the fold.
struct Problem {
  cv::Mat features;
  std::vector<int> source;
  std::vector<int> fold;
  int sources = 0;
};

Problem ToProblem(std::span<const float> features, int width,
                  const std::vector<std::string>& sources, const std::vector<std::string>& groups) {
  std::map<std::string, std::size_t> counts;
  for (const std::string& source : sources) ++counts[source];
  std::map<std::string, int> numbers;
  for (const auto& [source, count] : counts) {
    if (source.empty() || count < kLeastImages) continue;
    const int number = static_cast<int>(numbers.size());
    numbers[source] = number;
  }
  Problem problem;
  problem.sources = static_cast<int>(numbers.size());
  std::map<std::string, int> folds;  // of groups, in turn
  int next = 0;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const auto number = numbers.find(sources[i]);
    if (number == numbers.end()) continue;
    problem.source.push_back(number->second);
    const int fold =
        groups[i].empty()
            ? next++ % kFolds
            : folds.try_emplace(groups[i], static_cast<int>(folds.size()) % kFolds).first->second;
    problem.fold.push_back(fold);
    cv::Mat row(1, width + 1, CV_64F);
    for (int f = 0; f < width; ++f) {
      row.at<double>(f) =
          features[i * static_cast<std::size_t>(width) + static_cast<std::size_t>(f)];
    }
    row.at<double>(width) = 1;
    problem.features.push_back(row);
  }
  return problem;
}

// Each image's source as the fit to the other folds tells it; none where there is no such fit.
std::vector<int> Answers(const Problem& problem) {
  std::vector<int> answers(problem.source.size());
  for (int fold = 0; fold < kFolds; ++fold) {
    cv::Mat x;
    cv::Mat y;
    for (std::size_t i = 0; i < answers.size(); ++i) {
      if (problem.fold[i] == fold) continue;
      x.push_back(problem.features.row(static_cast<int>(i)));
      cv::Mat one = cv::Mat::zeros(1, problem.sources, CV_64F);
      one.at<double>(problem.source[i]) = 1;
      y.push_back(one);
    }
    if (x.empty()) continue;
    cv::Mat square = x.t() * x;
    const double ridge = kRidge * cv::trace(square)[0] / square.rows;
    square += ridge * cv::Mat::eye(square.size(), CV_64F);
    cv::Mat weights;
    if (!cv::solve(square, x.t() * y, weights, cv::DECOMP_CHOLESKY)) {
      return {};
    }
    for (std::size_t i = 0; i < answers.size(); ++i) {
      if (problem.fold[i] != fold) continue;
      const cv::Mat scores = problem.features.row(static_cast<int>(i)) * weights;
      cv::Point largest;
      cv::minMaxLoc(scores, nullptr, nullptr, nullptr, &largest);
      answers[i] = largest.x;
    }
  }
  return answers;
}

}  // namespace

StatusOr<std::optional<SourceProbe>> ProbeSources(std::span<const float> features, int width,
                                                  const std::vector<std::string>& sources,
                                                  const std::vector<std::string>& groups) {
  CSL_ASSIGN_OR_RETURN(const Problem problem, CatchAsStatus("probing for sources", [&] {
                         return ToProblem(features, width, sources, groups);
                       }));
  if (problem.sources < 2) return std::nullopt;
  CSL_ASSIGN_OR_RETURN(const std::vector<int> answers,
                       CatchAsStatus("probing for sources", [&] { return Answers(problem); }));
  if (answers.empty()) return Internal("the probe for sources has no solution");
  std::vector<double> right(static_cast<std::size_t>(problem.sources));
  std::vector<double> all(right.size());
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const auto source = static_cast<std::size_t>(problem.source[i]);
    ++all[source];
    if (answers[i] == problem.source[i]) ++right[source];
  }
  SourceProbe probe{.images = answers.size(), .sources = right.size()};
  for (std::size_t s = 0; s < right.size(); ++s) {
    probe.accuracy += right[s] / static_cast<double>(answers.size());
    probe.balanced_accuracy += right[s] / all[s] / static_cast<double>(right.size());
  }
  return probe;
}

}  // namespace consilium
