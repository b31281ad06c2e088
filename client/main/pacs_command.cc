#include <filesystem>
#include <memory>

#include "client/intake/intake.h"
#include "client/main/commands.h"
#include "client/main/subject.h"

namespace consilium {
namespace {

struct PacsCommand {
  Subject subject;
  IntakeOptions options;
};

Status RunPacs(PacsCommand command, const std::stop_token& stop) {
  CSL_ASSIGN_OR_RETURN(const UsableModel usable,
                       ReadUsableModel(command.subject.dir, command.subject.model));
  CSL_ASSIGN_OR_RETURN(auto calibration, FindCalibration(command.subject, usable.digest));
  CSL_ASSIGN_OR_RETURN(Predictor predictor, Predictor::Create(usable.model, command.subject.options,
                                                              std::move(calibration)));
  command.options.software = "consilium " CONSILIUM_VERSION;
  command.options.model_digest = usable.digest;
  PrintLimits();
  const SystemClock clock;
  return TakeIn(predictor, command.options, clock, stop);
}

}  // namespace

void AddPacsCommand(CLI::App& app, CommandLine& line) {
  const auto pacs = std::make_shared<PacsCommand>();
  IntakeOptions& options = pacs->options;
  CLI::App* command = app.add_subcommand(
      "pacs", "Take images from a PACS, and give results back as DICOM and FHIR");
  AddModelOptions(*command, pacs->subject);
  command->add_option("-o,--output", options.folder, "The folder for what comes and what is made")
      ->required();
  command->add_option("--port", options.port, "Where images are taken")->capture_default_str();
  command->add_option("--title", options.ae_title, "This receiver's AE title")
      ->capture_default_str();
  command->add_option("--sender", options.senders, "AE titles that may send; others are refused")
      ->required();
  command->add_option("--results-to", options.results_to,
                      "TITLE@HOST:PORT that gets each report and overlay");
  command->add_flag("--keep-images", options.keep_images, "Keep images after they were read");
  command->callback(
      [pacs, &line] { line.command = [pacs, &line] { return RunPacs(*pacs, line.stop); }; });
}

}  // namespace consilium
