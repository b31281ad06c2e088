#include <memory>
#include <nlohmann/json.hpp>

#include "client/data/corrections.h"
#include "client/main/commands.h"
#include "client/main/json_text.h"
#include "common/audit/trail.h"
#include "common/cli/cli.h"

namespace consilium {
namespace {

using Json = nlohmann::ordered_json;

struct FeedbackOptions {
  std::string dir;
  std::string id;
  std::string by;
  bool json = false;
};

Status ListFeedback(const FeedbackOptions& options) {
  CSL_ASSIGN_OR_RETURN(const auto corrections, CorrectionBook(options.dir).List());
  Json list = Json::array();
  std::vector<std::vector<std::string>> rows = {
      {"id", "label", "the model said", "reader", "made", "state", "by"}};
  for (const Correction& one : corrections) {
    const std::string state(CorrectionStateName(one.state));
    list.push_back({{"id", one.id},
                    {"picture", one.picture.string()},
                    {"label", one.label},
                    {"predicted", one.predicted},
                    {"model", one.model_digest},
                    {"reader", one.reader},
                    {"made_unix_ms", ToUnixMillis(one.made)},
                    {"state", state},
                    {"by", one.by},
                    {"decided_unix_ms", ToUnixMillis(one.decided)}});
    rows.push_back({one.id, one.label, one.predicted, one.reader,
                    FormatTime(ToUnixMillis(one.made)), state, one.by});
  }
  fmt::print("{}", options.json ? ToText(list, 2) + "\n" : FormatTable(rows));
  return OkStatus();
}

// The trail hears of it first.
Status Decide(const FeedbackOptions& options, CorrectionState state) {
  const CorrectionBook book(options.dir);
  CSL_ASSIGN_OR_RETURN(const auto corrections, book.List());
  const auto found = std::ranges::find(corrections, options.id, &Correction::id);
  if (found == corrections.end()) return NotFound("no correction is called '{}'", options.id);
  const SystemClock clock;
  CSL_ASSIGN_OR_RETURN(const auto trail,
                       AuditTrail::Open(std::filesystem::path(options.dir) / kTrailFile, clock));
  const std::string name(CorrectionStateName(state));
  CSL_RETURN_IF_ERROR(
      trail->Append("correction_" + name,
                    {{"correction", found->id}, {"label", found->label}, {"by", options.by}}));
  CSL_RETURN_IF_ERROR(book.Decide(found->id, state, options.by, clock.Now()));
  fmt::print("{} {}: {} by {}\n", name, found->id, found->label, found->reader);
  return OkStatus();
}

}  // namespace

void AddFeedbackCommands(CLI::App& app, CommandLine& line) {
  const auto options = std::make_shared<FeedbackOptions>();
  CLI::App* feedback = app.add_subcommand(
      "feedback", "What readers say of pictures: only what is accepted is ever trained on");
  feedback->require_subcommand(1);
  const auto add = [&](const char* name, const char* what, auto run) {
    CLI::App* command = feedback->add_subcommand(name, what);
    command->add_option("--dir", options->dir, "The hospital's folder")->required();
    command->callback(
        [options, run, &line] { line.command = [options, run] { return run(*options); }; });
    return command;
  };
  add("list", "List corrections, the oldest first", ListFeedback)
      ->add_flag("--json", options->json, "For programs");
  for (const auto& [name, what, state] :
       {std::tuple("accept", "Train on it from the next round on", CorrectionState::kAccepted),
        std::tuple("reject", "Do not train on it", CorrectionState::kRejected)}) {
    CLI::App* command = add(
        name, what, [state = state](const FeedbackOptions& given) { return Decide(given, state); });
    command->add_option("id", options->id)->required();
    command->add_option("--by", options->by, "Who decides: a person's name")->required();
  }
}

}  // namespace consilium
