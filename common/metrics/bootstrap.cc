#include "common/metrics/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "common/base/random.h"

namespace consilium {
namespace {

// The value below which this share of a sorted list lies, between its neighbours in proportion.
double Percentile(const std::vector<double>& sorted, double share) {
  const double place = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return std::lerp(sorted[below], sorted[above], place - static_cast<double>(below));
}

}  // namespace

ImagesOfPatients GroupByPatient(std::span<const std::int64_t> patients) {
  std::map<std::int64_t, std::vector<std::size_t>> images;
  for (std::size_t i = 0; i < patients.size(); ++i) images[patients[i]].push_back(i);
  ImagesOfPatients groups;
  groups.reserve(images.size());
  for (auto& [patient, of_patient] : images) groups.push_back(std::move(of_patient));
  return groups;
}

std::vector<std::optional<Interval>> Bootstrap(const ImagesOfPatients& patients,
                                               const FiguresOf& figures, int draws,
                                               std::uint64_t seed) {
  if (patients.empty()) return {figures({}).size(), std::nullopt};
  Random random(seed);
  std::vector<std::vector<double>> values;  // by figure, of each draw that defined it
  std::vector<std::size_t> images;
  for (int draw = 0; draw < draws; ++draw) {
    images.clear();
    for (std::size_t n = 0; n < patients.size(); ++n) {
      const auto& drawn = patients[random.Below(patients.size())];
      images.insert(images.end(), drawn.begin(), drawn.end());
    }
    const auto reached = figures(images);
    values.resize(reached.size());
    for (std::size_t f = 0; f < reached.size(); ++f) {
      if (reached[f]) values[f].push_back(*reached[f]);
    }
  }
  std::vector<std::optional<Interval>> intervals;
  for (std::vector<double>& one : values) {
    if (static_cast<double>(one.size()) <= 0.95 * draws) {
      intervals.emplace_back();
      continue;
    }
    std::ranges::sort(one);
    intervals.push_back(Interval{Percentile(one, 0.025), Percentile(one, 0.975)});
  }
  return intervals;
}

}  // namespace consilium
