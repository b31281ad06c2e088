#include "server/aggregate/update_terms.h"

#include "server/aggregate/nova.h"

namespace consilium {

std::vector<UpdateTerms> TermsOf(const RunConfig& config, int round,
                                 const std::vector<LocalEffort>& efforts) {
  const LocalWork& local = config.local;
  const double rate =
      local.learning_rate * RateFactorOfRound(local.schedule, local.warmup, round, config.rounds);
  std::vector<UpdateTerms> terms;
  std::vector<double> weights;
  std::vector<double> progress;
  for (const LocalEffort& effort : efforts) {
    weights.push_back(static_cast<double>(effort.examples));
    progress.push_back(LocalProgress(effort.steps, local.momentum));
    terms.push_back({.weight = weights.back(), .reach = rate * progress.back()});
  }
  if (!config.normalise) return terms;
  const std::vector<double> stretches = NovaStretches(weights, progress);
  for (std::size_t i = 0; i < terms.size(); ++i) terms[i].stretch = stretches[i];
  return terms;
}

}  // namespace consilium
