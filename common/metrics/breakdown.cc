#include "common/metrics/breakdown.h"

#include <charconv>
#include <map>
#include <set>

namespace consilium {
namespace {

GroupFigures Describe(const std::string& name, const Scores& scores) {
  GroupFigures group;
  group.name = name;
  const std::set<std::int64_t> patients(scores.patients.begin(), scores.patients.end());
  if (patients.size() < kSmallestGroup) return group;
  const Report report = Summarise(Count(scores));
  group.images = scores.size();
  group.patients = patients.size();
  group.accuracy = report.accuracy;
  group.balanced_accuracy = report.balanced_accuracy;
  group.accuracy_ci = BootstrapByPatient(scores, [](const Evaluation& evaluation) {
                        return std::vector{Summarise(evaluation).accuracy};
                      }).front();
  return group;
}

}  // namespace

Breakdown BreakDown(const std::string& by, const Scores& scores,
                    const std::vector<std::string>& names) {
  std::map<std::string, std::vector<std::size_t>> groups;
  for (std::size_t i = 0; i < names.size(); ++i) {
    groups[names[i].empty() ? "not given" : names[i]].push_back(i);
  }
  Breakdown breakdown{.by = by, .groups = {}};
  for (const auto& [name, images] : groups) {
    breakdown.groups.push_back(Describe(name, Choose(scores, images)));
  }
  return breakdown;
}

std::string AgeBand(const std::string& age) {
  double years = -1;
  const auto [end, error] = std::from_chars(age.data(), age.data() + age.size(), years);
  if (error != std::errc() || end != age.data() + age.size() || !(years >= 0)) return "";
  if (years < 18) return "under 18";
  if (years < 40) return "18-39";
  if (years < 60) return "40-59";
  if (years < 80) return "60-79";
  return "80 and over";
}

}  // namespace consilium
