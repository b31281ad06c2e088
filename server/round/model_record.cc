#include "server/round/model_record.h"

#include <algorithm>
#include <optional>

#include "common/metrics/breakdown.h"
#include "server/round/late_update.h"

namespace consilium {
namespace {

// None for a site with a class of too few.
std::optional<SiteScore> ScoreOf(const std::string& site, const Evaluation& evaluation) {
  SiteScore score{.site = site, .examples = evaluation.examples()};
  std::uint64_t right = 0;
  double recalls = 0;
  int classes = 0;
  for (int truth = 0; truth < evaluation.classes(); ++truth) {
    std::uint64_t count = 0;
    for (int said = 0; said < evaluation.classes(); ++said)
      count += evaluation.confusion(truth, said);
    if (count == 0) continue;
    if (count < kSmallestGroup) return std::nullopt;
    const std::uint64_t hits = evaluation.confusion(truth, truth);
    right += hits;
    recalls += static_cast<double>(hits) / static_cast<double>(count);
    ++classes;
  }
  if (classes == 0) return std::nullopt;
  score.accuracy = static_cast<double>(right) / static_cast<double>(score.examples);
  score.balanced_accuracy = recalls / classes;
  return score;
}

}  // namespace

std::vector<SiteScore> ScoresToTell(const std::vector<ModelRecord::SiteEvaluation>& evaluations) {
  std::vector<SiteScore> scores;
  for (const auto& [site, evaluation] : evaluations) {
    if (auto score = ScoreOf(site, evaluation)) scores.push_back(*std::move(score));
  }
  if (!scores.empty() && scores.size() + 1 == evaluations.size()) {
    scores.erase(std::ranges::min_element(scores, {}, &SiteScore::examples));
  }
  return scores;
}

ModelRecord RecordOf(const RunState& run, int round, const std::vector<TaskState>& tasks) {
  ModelRecord record{.run_id = run.id,
                     .plan = run.plan,
                     .version = *ModelOfRound(run, round),
                     .spec = run.config.model,
                     .parent_digest = {},
                     .participants = {},
                     .site_evaluations = {},
                     .evaluation = {}};
  // A region may have missed the round before.
  const ModelVersion* parent = ModelOfRound(run, round - 1);
  if (parent != nullptr) record.parent_digest = parent->digest;
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
