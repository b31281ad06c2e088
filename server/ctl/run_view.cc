#include "server/ctl/run_view.h"

#include <fmt/ranges.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "common/cli/cli.h"
#include "common/metrics/report_html.h"
#include "common/metrics/report_text.h"
#include "common/wire/convert.h"

namespace consilium {
namespace {

using Json = nlohmann::ordered_json;

std::vector<std::string> ClassesOf(const v1::GetRunResponse& run) {
  return {run.plan().model().classes().begin(), run.plan().model().classes().end()};
}

// What the sites did in the round that made the model.
struct TrainingOfRound {
  std::set<std::string> delivered;
  std::set<std::string> asked;
  double loss_sum = 0;
  double examples = 0;
  double slowest_seconds = 0;
};

TrainingOfRound TrainingOf(const v1::GetRunResponse& run, int round) {
  TrainingOfRound training;
  for (const v1::TaskSummary& task : run.tasks()) {
    if (static_cast<int>(task.round()) != round || task.kind() != "train") continue;
    training.asked.insert(task.site());
    if (task.status() != "done") continue;
    training.delivered.insert(task.site());
    const auto examples = static_cast<double>(task.train_examples());
    training.loss_sum += task.train_loss() * examples;
    training.examples += examples;
    training.slowest_seconds = std::max(training.slowest_seconds, task.train_seconds());
  }
  return training;
}

constexpr std::int64_t kSilentMs = 60'000;

// "45 s", "12 min", "3.5 h".
std::string Duration(std::int64_t ms) {
  const double s = static_cast<double>(std::max<std::int64_t>(ms, 0)) / 1000;
  if (s < 90) return fmt::format("{:.0f} s", s);
  if (s < 90 * 60) return fmt::format("{:.0f} min", s / 60);
  return fmt::format("{:.1f} h", s / 3600);
}

// "training 12 of 40, about 45 s left", "silent for 5 min: training 12 of 40".
std::string HowFar(const v1::TaskSummary& task, std::int64_t now_ms) {
  if (task.heard_unix_ms() == 0) return "not begun";
  std::string text = task.stage();
  if (task.stage_total() > 0) {
    text += fmt::format(" {} of {}", task.stage_done(), task.stage_total());
  }
  const std::int64_t silence = now_ms - task.heard_unix_ms();
  if (silence > kSilentMs) return fmt::format("silent for {}: {}", Duration(silence), text);
  if (task.ends_unix_ms() == 0) return text;
  return fmt::format("{}, about {} left", text, Duration(task.ends_unix_ms() - now_ms));
}

std::string TaskOutcome(const v1::TaskSummary& task, std::int64_t now_ms) {
  if (task.status() == "open") return HowFar(task, now_ms);
  if (task.status() != "done") {
    return task.reason().empty() ? task.status() : task.status() + ": " + task.reason();
  }
  if (task.kind() != "train") return task.status();
  constexpr double kMegabyte = 1e6;
  return fmt::format("{} examples, loss {:.4f}, {:.1f} s, {:.1f} MB", task.train_examples(),
                     task.train_loss(), task.train_seconds(),
                     static_cast<double>(task.update_bytes()) / kMegabyte);
}

}  // namespace

StatusOr<std::vector<ModelScores>> ScoresOf(const v1::GetRunResponse& run) {
  std::map<int, ModelScores> by_round;
  for (const v1::ModelEvaluation& message : run.evaluations()) {
    const auto round = static_cast<int>(message.round());
    ModelScores& scores = by_round[round];
    scores.round = round;
    CSL_ASSIGN_OR_RETURN(Evaluation evaluation, FromProto(message.evaluation()));
    CSL_RETURN_IF_ERROR(scores.pooled.Merge(evaluation));
    scores.sites.push_back({message.site(), std::move(evaluation)});
  }
  std::vector<ModelScores> scores;
  for (auto& [round, one] : by_round) scores.push_back(std::move(one));
  return scores;
}

bool ScoresAreComplete(const v1::GetRunResponse& run, int round) {
  bool opened = false;
  for (const v1::TaskSummary& task : run.tasks()) {
    if (static_cast<int>(task.round()) != round + 1) continue;
    if (task.status() == "open") return false;
    opened = true;
  }
  return opened;
}

std::string RoundLine(const v1::GetRunResponse& run, const ModelScores& scores) {
  const Report report = Summarise(scores.pooled);
  std::string line = fmt::format("round {:>3}/{}", scores.round, run.summary().rounds());
  const TrainingOfRound training = TrainingOf(run, scores.round);
  if (training.asked.empty()) {
    line += "  initial model               ";
  } else {
    line +=
        fmt::format("  {}/{} sites, train loss {:.4f}", training.delivered.size(),
                    training.asked.size(), training.loss_sum / std::max(1.0, training.examples));
  }
  line += fmt::format("  |  loss {:.4f}  accuracy {:>6}  balanced {:>6}  on {} images of {} sites",
                      report.loss.value_or(0), Percent(report.accuracy),
                      Percent(report.balanced_accuracy), report.examples, scores.sites.size());
  return line;
}

std::string ProgressLine(const v1::GetRunResponse& run) {
  std::vector<std::string> sites;
  for (const v1::TaskSummary& task : run.tasks()) {
    if (task.status() == "open")
      sites.push_back(task.site() + " " + HowFar(task, run.now_unix_ms()));
  }
  return fmt::format(
      "round {} of {}: {}", run.summary().round(), run.summary().rounds(),
      sites.empty() ? run.summary().status() : fmt::to_string(fmt::join(sites, "; ")));
}

StatusOr<std::string> DescribeRun(const v1::GetRunResponse& run) {
  const v1::RunSummary& summary = run.summary();
  std::string text = fmt::format("{} '{}': {}, round {} of {}\n", summary.run_id(), summary.name(),
                                 summary.status(), summary.round(), summary.rounds());
  if (summary.attempt() > 1) text += fmt::format("attempt {} at this round\n", summary.attempt());
  if (summary.pausing()) text += "pauses where this round ends\n";
  if (!summary.reason().empty()) text += fmt::format("reason: {}\n", summary.reason());
  if (summary.deadline_unix_ms() != 0) {
    text += fmt::format("this round's deadline is {}", FormatTime(summary.deadline_unix_ms()));
    if (summary.round_ends_unix_ms() != 0) {
      text += fmt::format("; as its sites get on it closes in about {}",
                          Duration(summary.round_ends_unix_ms() - run.now_unix_ms()));
    }
    text += '\n';
  }
  text += fmt::format("submitted {}, ended {}\n\n", FormatTime(summary.created_unix_ms()),
                      FormatTime(summary.ended_unix_ms()));

  std::vector<std::vector<std::string>> rows = {{"round", "site", "task", "outcome"}};
  for (const v1::TaskSummary& task : run.tasks()) {
    rows.push_back({fmt::format("{}", task.round()), task.site(), task.kind(),
                    TaskOutcome(task, run.now_unix_ms())});
  }
  text += FormatTable(rows) + '\n';

  CSL_ASSIGN_OR_RETURN(const std::vector<ModelScores> scores, ScoresOf(run));
  for (const ModelScores& one : scores) text += RoundLine(run, one) + '\n';
  if (scores.empty()) return text;
  for (const ModelScores::Site& site : scores.back().sites) {
    text += fmt::format("\nsite {}, model of round {}: {}", site.name, scores.back().round,
                        ReportToText(site.evaluation, ClassesOf(run)));
  }
  text += fmt::format("\nall sites, model of round {}: {}", scores.back().round,
                      ReportToText(scores.back().pooled, ClassesOf(run)));
  return text;
}

StatusOr<Json> RunToJson(const v1::GetRunResponse& run) {
  const v1::RunSummary& summary = run.summary();
  Json json = {{"run", summary.run_id()},
               {"name", summary.name()},
               {"status", summary.status()},
               {"reason", summary.reason()},
               {"round", summary.round()},
               {"rounds", summary.rounds()},
               {"created_unix_ms", summary.created_unix_ms()},
               {"ended_unix_ms", summary.ended_unix_ms()},
               {"attempt", summary.attempt()},
               {"deadline_unix_ms", summary.deadline_unix_ms()},
               {"round_ends_unix_ms", summary.round_ends_unix_ms()},
               {"classes", ClassesOf(run)},
               {"tasks", Json::array()},
               {"models", Json::array()},
               {"evaluations", Json::array()}};
  for (const v1::TaskSummary& task : run.tasks()) {
    json["tasks"].push_back({{"task", task.task_id()},
                             {"site", task.site()},
                             {"round", task.round()},
                             {"kind", task.kind()},
                             {"status", task.status()},
                             {"reason", task.reason()},
                             {"update_digest", task.update_digest()},
                             {"update_bytes", task.update_bytes()},
                             {"train_examples", task.train_examples()},
                             {"train_loss", task.train_loss()},
                             {"train_seconds", task.train_seconds()},
                             {"stage", task.stage()},
                             {"stage_done", task.stage_done()},
                             {"stage_total", task.stage_total()},
                             {"heard_unix_ms", task.heard_unix_ms()},
                             {"ends_unix_ms", task.ends_unix_ms()}});
  }
  for (const v1::ModelRef& model : run.models()) {
    json["models"].push_back(
        {{"round", model.round()}, {"digest", model.digest()}, {"bytes", model.size_bytes()}});
  }
  CSL_ASSIGN_OR_RETURN(const std::vector<ModelScores> scores, ScoresOf(run));
  for (const ModelScores& one : scores) {
    Json sites = Json::object();
    for (const ModelScores::Site& site : one.sites) {
      sites[site.name] = ReportToJson(site.evaluation, ClassesOf(run));
    }
    json["evaluations"].push_back({{"round", one.round},
                                   {"sites", std::move(sites)},
                                   {"pooled", ReportToJson(one.pooled, ClassesOf(run))}});
  }
  return json;
}

StatusOr<std::string> RunToHtml(const v1::GetRunResponse& run) {
  const v1::RunSummary& summary = run.summary();
  HtmlRun page{.title = fmt::format("{} '{}'", summary.run_id(), summary.name()),
               .subject = fmt::format(
                   "{}, round {} of {}, {} at {} pixels; submitted {}, ended {}", summary.status(),
                   summary.round(), summary.rounds(), run.plan().model().architecture(),
                   run.plan().model().input_size(), FormatTime(summary.created_unix_ms()),
                   FormatTime(summary.ended_unix_ms())),
               .classes = ClassesOf(run),
               .rounds = static_cast<int>(summary.rounds()),
               .models = {}};
  CSL_ASSIGN_OR_RETURN(const std::vector<ModelScores> scores, ScoresOf(run));
  for (const ModelScores& one : scores) {
    HtmlRun::Model& model = page.models.emplace_back();
    model.round = one.round;
    model.pooled = one.pooled;
    for (const ModelScores::Site& site : one.sites) {
      model.sites.push_back({site.name, site.evaluation});
    }
  }
  return ToHtml(page);
}

}  // namespace consilium
