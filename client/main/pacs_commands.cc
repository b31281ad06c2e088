#include <filesystem>
#include <memory>

#include "client/intake/intake.h"
#include "client/intake/program.h"
#include "client/main/commands.h"
#include "client/main/subject.h"

namespace consilium {
namespace {

struct PacsCommand {
  Subject subject;
  IntakeOptions options;
};

Status RunPacs(PacsCommand command, const std::stop_token& stop) {
  if (!command.options.fhir_to.url.empty()) {
    CSL_RETURN_IF_ERROR(CheckFhirServer(command.options.fhir_to));
  }
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

struct FetchCommand {
  std::string from;
  std::string title = "CONSILIUM";
  std::string patient;
  std::string date;
  std::string modality;
  std::string output;
};

Status Fetch(const FetchCommand& command) {
  std::vector<std::string> words = {"fetch", "--from", command.from, "--title", command.title};
  for (const auto& [option, value] :
       {std::pair("--patient", command.patient), std::pair("--date", command.date),
        std::pair("--modality", command.modality)}) {
    if (!value.empty()) words.insert(words.end(), {option, value});
  }
  words.push_back(command.output);
  CSL_ASSIGN_OR_RETURN(const std::string studies, RunProgram("consilium-pacs", words));
  fmt::print("{}", studies);
  return OkStatus();
}

void AddFetchCommand(CLI::App& app, CommandLine& line) {
  const auto fetch = std::make_shared<FetchCommand>();
  CLI::App* command = app.add_subcommand(
      "fetch", "Get the images of studies that a PACS has (C-FIND, C-GET); a JSON line a study");
  command->add_option("--from", fetch->from, "TITLE@HOST:PORT of the PACS")->required();
  command->add_option("--title", fetch->title, "Our own AE title")->capture_default_str();
  command->add_option("--patient", fetch->patient, "The patient's id there");
  command->add_option("--date", fetch->date, "20260301, or 20260301-20260331");
  command->add_option("--modality", fetch->modality, "DX, CR, CT, …");
  command->add_option("-o,--output", fetch->output, "The folder for the images")->required();
  command->callback([fetch, &line] { line.command = [fetch] { return Fetch(*fetch); }; });
}

}  // namespace

void AddPacsCommands(CLI::App& app, CommandLine& line) {
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
  CLI::Option* fhir = command->add_option("--fhir-to", options.fhir_to.url,
                                          "The address of a FHIR server that gets each result");
  command->add_option("--fhir-token-file", options.fhir_to.token_file, "Of a bearer token for it")
      ->needs(fhir);
  command->add_flag("--keep-images", options.keep_images, "Keep images after they were read");
  command->callback(
      [pacs, &line] { line.command = [pacs, &line] { return RunPacs(*pacs, line.stop); }; });
  AddFetchCommand(app, line);
}

}  // namespace consilium
