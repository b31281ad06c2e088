#include "server/store/run_config.h"

#include <algorithm>
#include <map>
#include <string_view>

#include "common/encoding/update_encoding.h"
#include "common/wire/convert.h"
#include "consilium/v1/plan.pb.h"

namespace consilium {
namespace {

StatusOr<ServerOptimizerKind> KindOf(const std::string& strategy) {
  using enum ServerOptimizerKind;
  static const std::map<std::string_view, ServerOptimizerKind> kinds = {
      {"", kAverage},        {"fedavg", kAverage},   {"fedprox", kAverage},
      {"fednova", kAverage}, {"fedavgm", kMomentum}, {"fedadagrad", kAdagrad},
      {"fedadam", kAdam},    {"fedyogi", kYogi},     {"scaffold", kControlVariate},
      {"median", kAverage},  {"krum", kAverage},     {"trimmed_mean", kAverage}};
  const auto found = kinds.find(strategy);
  if (found == kinds.end()) return DataLoss("no strategy is called '{}'", strategy);
  return found->second;
}

Combination CombinationOf(const std::string& strategy) {
  if (strategy == "median") return Combination::kMedian;
  if (strategy == "trimmed_mean") return Combination::kTrimmedMean;
  return strategy == "krum" ? Combination::kKrum : Combination::kMean;
}

StatusOr<ServerOptimizer> ToServerOptimizer(const v1::Strategy& strategy) {
  ServerOptimizer optimizer;
  CSL_ASSIGN_OR_RETURN(optimizer.kind, KindOf(strategy.name()));
  if (optimizer.kind == ServerOptimizerKind::kAverage ||
      optimizer.kind == ServerOptimizerKind::kControlVariate) {
    return optimizer;
  }
  optimizer.learning_rate = strategy.server_learning_rate();
  optimizer.beta1 = strategy.server_momentum();
  optimizer.beta2 = strategy.server_beta2();
  optimizer.tau = strategy.server_tau();
  return optimizer;
}

}  // namespace

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
                   .max_train_examples = message.admission().max_train_examples(),
                   .optimizer = {},
                   .combination = CombinationOf(message.strategy().name()),
                   .normalise = message.strategy().name() == "fednova",
                   .local = {.epochs = static_cast<int>(message.training().local_epochs()),
                             .steps = static_cast<int>(message.training().local_steps()),
                             .batch_size = static_cast<int>(message.training().batch_size()),
                             .momentum = message.training().momentum(),
                             .learning_rate = message.training().learning_rate(),
                             .schedule = ScheduleOf(message.training().schedule()),
                             .warmup = message.training().warmup()},
                   .stages = StagesOf(message),
                   .sums_class_counts = message.training().class_counts() == "federated"};
  CSL_ASSIGN_OR_RETURN(config.model, FromProto(message.model()));
  CSL_ASSIGN_OR_RETURN(config.optimizer, ToServerOptimizer(message.strategy()));
  CSL_ASSIGN_OR_RETURN(config.update_encoding, ParseUpdateEncoding(message.encoding().update()));
  CSL_ASSIGN_OR_RETURN(config.model_encoding, ParseUpdateEncoding(message.encoding().model()));
  return config;
}

}  // namespace consilium
