#include "server/round/cohort.h"

#include <algorithm>
#include <cmath>

namespace consilium {

std::vector<std::string> Cohort(const RunConfig& config,
                                const std::vector<std::string>& active_sites) {
  if (config.sites.empty()) return active_sites;
  std::vector<std::string> wanted = config.sites;
  std::sort(wanted.begin(), wanted.end());
  std::vector<std::string> cohort;
  std::set_intersection(wanted.begin(), wanted.end(), active_sites.begin(), active_sites.end(),
                        std::back_inserter(cohort));
  return cohort;
}

Status CheckSites(const RunConfig& config, const std::vector<std::string>& active_sites) {
  for (const std::string& site : config.sites) {
    if (!std::binary_search(active_sites.begin(), active_sites.end(), site)) {
      return FailedPrecondition("the plan names site '{}', which has not joined or was revoked",
                                site);
    }
  }
  const std::size_t sites = Cohort(config, active_sites).size();
  const int quorum = QuorumOf(config, std::max<std::size_t>(sites, 1));
  if (sites >= static_cast<std::size_t>(quorum)) return OkStatus();
  return FailedPrecondition("the quorum is {} sites, but only {} of the plan's sites are active",
                            quorum, sites);
}

int QuorumOf(const RunConfig& config, std::size_t sites) {
  if (config.quorum_count > 0) return config.quorum_count;
  const double share = config.quorum_fraction * static_cast<double>(sites);
  // A fraction such as 2/3 written in decimals must not ask for one site more.
  return std::max(1, static_cast<int>(std::ceil(share - 1e-9)));
}

}  // namespace consilium
