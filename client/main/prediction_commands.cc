#include <filesystem>
#include <memory>

#include "client/main/commands.h"
#include "client/main/prediction_printer.h"
#include "client/main/subject.h"
#include "client/session/calibrate.h"
#include "common/base/file.h"
#include "common/cli/cli.h"
#include "common/config/site.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;

struct PredictCommand {
  Subject subject;
  std::string format = "table";
};

struct CalibrateCommand {
  std::string dir;
  std::string model;
  std::string output;
  double specificity = 0.9;
  v1::SiteConfig site = DefaultSite();
};

Status Predict(const PredictCommand& command, const std::stop_token& stop) {
  CSL_ASSIGN_OR_RETURN(Predictor predictor, PredictorOf(command.subject));
  CSL_ASSIGN_OR_RETURN(const auto images, ImagesOf(command.subject));
  PredictionPrinter printer(command.format, predictor);
  Progress progress("predicting", images.size());
  std::uint64_t done = 0;
  CSL_RETURN_IF_ERROR(predictor.Predict(images, stop, [&](const StatusOr<Prediction>& result) {
    printer.Print(result);
    progress.Advance(++done);
  }));
  if (command.format == "table") PrintLimits();
  return CountFailures(printer.failures(), images.size());
}

void Describe(const Calibration& calibration, const fs::path& path) {
  fmt::print("{}: from {} validation and {} training images; temperature {:.2f}\n", path.string(),
             calibration.validation_images, calibration.known.size(), calibration.temperature);
  for (std::size_t c = 0; c < calibration.classes.size(); ++c) {
    const auto& threshold = calibration.thresholds[c];
    if (threshold) {
      fmt::print(
          "{} is called from a probability of {:.3f} on: {:.0f}% of the images without it "
          "lie below\n",
          calibration.classes[c], *threshold, 100 * calibration.specificity);
    } else {
      fmt::print("{} is never called: the validation images do not have both it and others\n",
                 calibration.classes[c]);
    }
  }
}

Status CalibrateModel(const CalibrateCommand& command, const std::stop_token& stop) {
  const bool of_hospital = !command.dir.empty();
  if (of_hospital ? !command.model.empty() : command.model.empty() || command.output.empty()) {
    return InvalidArgument(
        "want --dir DIR of a hospital, or --model FILE, --data and --output FILE");
  }
  CSL_RETURN_IF_ERROR(CheckFolderOf(command.output));
  v1::SiteConfig site = command.site;
  if (of_hospital) {
    CSL_ASSIGN_OR_RETURN(site, ReadSiteOfFolder(command.dir));
  } else if (site.data().path().empty()) {
    return InvalidArgument("--model: want --data, the hospital's images");
  }
  CSL_ASSIGN_OR_RETURN(const UsableModel usable, ReadUsableModel(command.dir, command.model));
  CSL_ASSIGN_OR_RETURN(const Calibration calibration,
                       Calibrate(usable.model, usable.digest, site, command.specificity, stop));
  const fs::path path =
      of_hospital ? CalibrationOf(command.dir, usable.digest) : fs::path(command.output);
  if (of_hospital) CSL_RETURN_IF_ERROR(MakeFolders(path.parent_path()));
  CSL_RETURN_IF_ERROR(WriteCalibration(path, calibration));
  Describe(calibration, path);
  return OkStatus();
}

}  // namespace

void AddPredictionCommands(CLI::App& app, CommandLine& line) {
  const auto predict = std::make_shared<PredictCommand>();
  CLI::App* command = app.add_subcommand("predict", "Predict images with a model");
  AddSubjectOptions(*command, predict->subject);
  command
      ->add_option("--draws", predict->subject.options.draws,
                   "How far an answer varies over so many slightly changed copies of its image")
      ->check(CLI::Range(0, 1000))
      ->capture_default_str();
  command->add_option("--format", predict->format)
      ->check(CLI::IsMember({"table", "csv", "json"}))
      ->capture_default_str();
  command->add_flag_callback(
      "--json", [predict] { predict->format = "json"; }, "A JSON line an image");
  command->callback([predict, &line] {
    line.command = [predict, &line] { return Predict(*predict, line.stop); };
  });

  const auto calibrate = std::make_shared<CalibrateCommand>();
  command = app.add_subcommand(
      "calibrate", "Find out on own images how sure a model may be, and what pictures it knows");
  command->add_option("--dir", calibrate->dir, "The hospital's folder: its model and its images");
  command->add_option("--model", calibrate->model, "A model file");
  command->add_option("-o,--output", calibrate->output, "Where the calibration of that file goes");
  command
      ->add_option("--specificity", calibrate->specificity,
                   "Call a class so that this share of the images without it is not called")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  AddDataOptions(*command, calibrate->site);
  command->get_option("--data")->required(false);
  command->callback([calibrate, &line] {
    line.command = [calibrate, &line] { return CalibrateModel(*calibrate, line.stop); };
  });
}

}  // namespace consilium
