// What a hospital agrees to, what left it, and its audit trail.

#include <filesystem>
#include <memory>

#include "certs/trail_head.h"
#include "client/link/plan_book.h"
#include "client/link/site_trail.h"
#include "client/main/commands.h"
#include "client/main/house.h"
#include "client/main/json_text.h"
#include "common/audit/trail.h"
#include "common/cli/cli.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct TrustOptions {
  std::string dir;
  std::string hash;
  std::string by;
  std::string coordinator_trail;
  bool json = false;
};

Status ListPlans(const TrustOptions& options) {
  CSL_ASSIGN_OR_RETURN(const auto plans, PlanBook(options.dir).List());
  if (options.json) {
    fmt::print("{}\n", ToText(ToJson(plans), 2));
    return OkStatus();
  }
  std::vector<std::vector<std::string>> rows = {{"plan", "name", "run", "decision", "by", "seen"}};
  for (const PlanEntry& entry : plans) {
    rows.push_back({entry.hash, entry.name, entry.run_id,
                    std::string(PlanDecisionName(entry.decision)), entry.by,
                    FormatTime(ToUnixMillis(entry.first_seen))});
  }
  fmt::print("{}", FormatTable(rows));
  return OkStatus();
}

Status Decide(const TrustOptions& options, PlanDecision decision) {
  const PlanBook book(options.dir);
  CSL_ASSIGN_OR_RETURN(const PlanEntry entry, book.FindByPrefix(options.hash));
  const SystemClock clock;
  CSL_ASSIGN_OR_RETURN(const auto trail,
                       AuditTrail::Open(fs::path(options.dir) / kTrailFile, clock));
  const std::string name(PlanDecisionName(decision));
  CSL_RETURN_IF_ERROR(trail->Append("plan_" + name, {{"plan", entry.hash}, {"by", options.by}}));
  CSL_RETURN_IF_ERROR(book.Decide(entry.hash, decision, options.by, clock.Now()));
  fmt::print("{} {} ({})\n", name, entry.hash, entry.name);
  return OkStatus();
}

Status ListOutbox(const TrustOptions& options) {
  CSL_ASSIGN_OR_RETURN(const auto outbox, ReadOutbox(options.dir));
  if (options.json) {
    fmt::print("{}\n", ToText(ToJson(outbox), 2));
    return OkStatus();
  }
  std::vector<std::vector<std::string>> rows = {
      {"time", "task", "bytes", "examples", "norm", "sha256"}};
  for (const Sending& sending : outbox) {
    rows.push_back({sending.time, sending.task_id, fmt::format("{}", sending.bytes),
                    fmt::format("{}", sending.train_examples), fmt::format("{:.4g}", sending.norm),
                    sending.digest});
  }
  fmt::print("{}", FormatTable(rows));
  return OkStatus();
}

Status ShowAudit(const TrustOptions& options) {
  return VerifyTrail(fs::path(options.dir) / kTrailFile,
                     [](const Json& entry) { fmt::print("{}\n", ToText(entry)); })
      .status();
}

Status VerifyAudit(const TrustOptions& options) {
  const fs::path trail = fs::path(options.dir) / kTrailFile;
  CSL_ASSIGN_OR_RETURN(const TrailHead head, VerifyTrail(trail));
  fmt::print("{}: {} entries, whole; head {}\n", trail.string(), head.entries, head.hash);
  if (options.coordinator_trail.empty()) return OkStatus();
  CSL_ASSIGN_OR_RETURN(const int agree,
                       CompareTrails(trail, "coordinator_head", "", options.coordinator_trail));
  fmt::print("{}: has all of the {} heads that its coordinator signed to this hospital\n",
             options.coordinator_trail, agree);
  return OkStatus();
}

}  // namespace

void AddTrustCommands(CLI::App& app, CommandLine& line) {
  const auto options = std::make_shared<TrustOptions>();
  const auto add = [&](CLI::App& parent, const char* name, const char* what, auto run) {
    CLI::App* command = parent.add_subcommand(name, what);
    command->add_option("--dir", options->dir, "The hospital's folder")->required();
    command->callback(
        [options, run, &line] { line.command = [options, run] { return run(*options); }; });
    return command;
  };
  add(app, "plans", "List the plans that this hospital was asked to train", ListPlans)
      ->add_flag("--json", options->json, "For programs, with the plans themselves");
  for (const auto& [name, decision] : {std::pair("approve", PlanDecision::kApproved),
                                       std::pair("reject", PlanDecision::kRejected)}) {
    CLI::App* command =
        add(app, name, "Decide about a plan: policy.approve_plans in site.yaml",
            [decision = decision](const TrustOptions& given) { return Decide(given, decision); });
    command->add_option("hash", options->hash, "The plan's, or its first 8 characters")->required();
    command->add_option("--by", options->by, "Who decides: a person's name")->required();
  }
  add(app, "outbox", "List all that this hospital has sent", ListOutbox)
      ->add_flag("--json", options->json, "For programs");

  CLI::App* audit = app.add_subcommand("audit", "This hospital's audit trail");
  audit->require_subcommand(1);
  add(*audit, "show", "Print it, a JSON object a line", ShowAudit);
  add(*audit, "verify", "Say whether it is whole", VerifyAudit)
      ->add_option("--coordinator", options->coordinator_trail,
                   "The coordinator's trail, from consilium-ctl audit pull: compare it with what "
                   "the coordinator has signed to this hospital")
      ->check(CLI::ExistingFile);
}

}  // namespace consilium
