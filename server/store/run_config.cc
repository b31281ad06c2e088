#include "server/store/run_config.h"

#include <algorithm>

#include "common/wire/convert.h"
#include "consilium/v1/plan.pb.h"

namespace consilium {

StatusOr<RunConfig> ParseRunConfig(const std::string& plan) {
  v1::RunPlan message;
  if (!message.ParseFromString(plan)) return DataLoss("the plan is damaged");
  RunConfig config{.rounds = static_cast<int>(message.rounds()),
                   .round_attempts = std::max(1, static_cast<int>(message.round_attempts())),
                   .late_updates = message.late_updates() == "next_round" ? LateUpdates::kNextRound
                                                                          : LateUpdates::kDrop,
                   .quorum_fraction = message.quorum().fraction(),
                   .quorum_count = static_cast<int>(message.quorum().count()),
                   .round_deadline = std::chrono::seconds(message.round_deadline_seconds()),
                   .sites = {message.sites().begin(), message.sites().end()},
                   .model = {},
                   .max_norm = message.admission().max_norm(),
                   .max_norm_ratio = message.admission().max_norm_ratio(),
                   .max_train_examples = message.admission().max_train_examples()};
  CSL_ASSIGN_OR_RETURN(config.model, FromProto(message.model()));
  return config;
}

}  // namespace consilium
