#pragma once

// The commands of consilium-client, by subject. Each function adds its subcommands to the program;
// the one that was typed leaves its work in `command`, which main runs after parsing.

#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>
#include <stop_token>

#include "common/base/status.h"
#include "consilium/v1/site.pb.h"

namespace consilium {

struct CommandLine {
  std::stop_token stop;
  std::function<Status()> command;
};

void AddFederationCommands(CLI::App& app, CommandLine& line);  // join, start, renew, doctor
void AddPullCommands(CLI::App& app, CommandLine& line);        // pull, rollback
void AddTrustCommands(CLI::App& app, CommandLine& line);  // plans, approve, reject, outbox, audit
void AddTrainingCommands(CLI::App& app, CommandLine& line);    // train
void AddEvaluationCommands(CLI::App& app, CommandLine& line);  // evaluate, compare
void AddDataCommands(CLI::App& app, CommandLine& line);        // data synth | import | check | …
void AddModelCommands(CLI::App& app, CommandLine& line);  // model init | info | export | verify
void AddPredictionCommands(CLI::App& app, CommandLine& line);  // predict, calibrate
void AddExplainCommand(CLI::App& app, CommandLine& line);
void AddExtentCommand(CLI::App& app, CommandLine& line);
void AddServeCommand(CLI::App& app, CommandLine& line);
void AddPacsCommands(CLI::App& app, CommandLine& line);      // pacs, fetch
void AddFeedbackCommands(CLI::App& app, CommandLine& line);  // feedback list | accept | reject

// NOT_FOUND where a file that is to be written has no folder: hours of work must not end at one
// that was never there. OK for no file.
Status CheckFolderOf(const std::filesystem::path& path);

// Options that say where images are, for commands without a site.yaml.
void AddDataOptions(CLI::App& command, v1::SiteConfig& site);

}  // namespace consilium
