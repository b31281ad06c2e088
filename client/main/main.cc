// consilium-client: what runs at a hospital.

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include "client/main/commands.h"
#include "client/nn/network.h"
#include "common/base/memory.h"
#include "common/cli/cli.h"

int main(int argc, char** argv) {
  consilium::WriteNoCore();
  consilium::KeepFreedMemory();
  consilium::CommandLine line{.stop = consilium::StopOnSignals(), .command = {}};
  spdlog::set_default_logger(spdlog::stderr_color_mt("client"));
  spdlog::flush_on(spdlog::level::info);

  CLI::App app(
      "A hospital's part of a Consilium federation. Research use only: not a medical device.",
      "consilium-client");
  app.require_subcommand(1);
  app.set_version_flag("--version", [] {
    consilium::SetThreads(0);
    return fmt::format("consilium-client {}\n{}", CONSILIUM_VERSION, consilium::DescribeLibTorch());
  });
  consilium::AddFederationCommands(app, line);
  consilium::AddPullCommands(app, line);
  consilium::AddTrustCommands(app, line);
  consilium::AddTrainingCommands(app, line);
  consilium::AddEvaluationCommands(app, line);
  consilium::AddDataCommands(app, line);
  consilium::AddModelCommands(app, line);
  consilium::AddPredictionCommands(app, line);
  consilium::AddExplainCommand(app, line);
  consilium::AddExtentCommand(app, line);
  consilium::AddServeCommand(app, line);
  consilium::AddPacsCommands(app, line);
  consilium::AddFeedbackCommands(app, line);
  CLI11_PARSE(app, argc, argv);
  return consilium::ExitCode("consilium-client", line.command);
}
