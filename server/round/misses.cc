#include "server/round/misses.h"

#include <fmt/format.h>

#include <vector>

namespace consilium {

std::map<std::string, TaskState> TasksBySite(const RunState& run) {
  std::map<std::string, TaskState> tasks;
  for (const TaskState& task : run.tasks) {
    if (task.round == run.round) tasks.insert_or_assign(task.site, task);
  }
  return tasks;
}

std::string WhoIsMissing(const std::map<std::string, TaskState>& tasks) {
  std::vector<std::string> missing;
  for (const auto& [site, task] : tasks) {
    if (task.status != TaskStatus::kDone) {
      missing.push_back(fmt::format("{}: {}", site, task.reason));
    }
  }
  return fmt::format("{}", fmt::join(missing, "; "));
}

void NoteMisses(RunState& run, const std::map<std::string, TaskState>& tasks) {
  std::map<std::string, std::string> missing;
  for (const std::string& site : run.config.sites) {
    if (!tasks.contains(site)) missing[site] = "not active";
  }
  for (const auto& [site, task] : tasks) {
    if (task.status != TaskStatus::kDone) missing[site] = task.reason;
  }
  for (auto& [site, reason] : missing) run.misses.push_back({run.round, site, reason});
}

void ForgetMisses(RunState& run) {
  std::erase_if(run.misses, [&](const Miss& miss) { return miss.round == run.round; });
}

std::string DescribeMisses(const RunState& run) {
  std::map<std::string, std::vector<int>> rounds;
  for (const Miss& miss : run.misses) rounds[miss.site].push_back(miss.round);
  std::vector<std::string> sites;
  for (const auto& [site, missed] : rounds) {
    std::vector<std::string> spans;
    for (std::size_t i = 0; i < missed.size();) {
      std::size_t last = i;
      while (last + 1 < missed.size() && missed[last + 1] == missed[last] + 1 &&
             missed[last + 1] <= run.config.rounds) {
        ++last;
      }
      if (missed[i] > run.config.rounds) {
        spans.emplace_back("the final evaluation");
      } else if (last == i) {
        spans.push_back(fmt::format("round {}", missed[i]));
      } else {
        spans.push_back(fmt::format("rounds {}-{}", missed[i], missed[last]));
      }
      i = last + 1;
    }
    sites.push_back(fmt::format("{} missed {}", site, fmt::join(spans, ", ")));
  }
  return fmt::format("{}", fmt::join(sites, "; "));
}

}  // namespace consilium
