#include "server/round/model_record.h"

#include <algorithm>

#include "server/round/late_update.h"

namespace consilium {

ModelRecord RecordOf(const RunState& run, int round, const std::vector<TaskState>& tasks) {
  ModelRecord record{.run_id = run.id,
                     .plan = run.plan,
                     .version = *ModelOfRound(run, round),
                     .spec = run.config.model,
                     .parent_digest = {},
                     .participants = {},
                     .site_evaluations = {},
                     .evaluation = {}};
  if (round > 0) record.parent_digest = ModelOfRound(run, round - 1)->digest;
  for (const TaskState& task : tasks) {
    if (task.status != TaskStatus::kDone) continue;
    if (task.round == round && task.kind == TaskKind::kTrain) {
      record.participants.push_back(
          {task.site, task.result.train_examples, task.result.blob_digest});
    }
    // A round's tasks score the model that the round before made.
    if (task.round == round + 1 && task.result.evaluation.classes() > 0 &&
        record.evaluation.Merge(task.result.evaluation).ok()) {
      record.site_evaluations.push_back({task.site, task.result.evaluation});
    }
  }
  std::ranges::sort(record.participants, {}, &ModelRecord::Participant::site);
  std::ranges::sort(record.site_evaluations, {}, &ModelRecord::SiteEvaluation::site);
  return record;
}

}  // namespace consilium
