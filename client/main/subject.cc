#include "client/main/subject.h"

#include "client/session/local_tensors.h"
#include "client/session/model_shelf.h"
#include "common/base/file.h"
#include "common/config/site.h"
#include "common/crypto/digest.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;

StatusOr<std::string> DigestOfFile(const fs::path& path) {
  CSL_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  return Sha256Of(file.bytes());
}

}  // namespace

void AddModelOptions(CLI::App& command, Subject& subject) {
  command.add_option("--dir", subject.dir, "The hospital's folder: use the model it pulled");
  command.add_option("--model", subject.model, "A model file")->excludes("--dir");
  command.add_option("--calibration", subject.calibration, "What `calibrate` made of that file")
      ->needs("--model");
  command.add_option("--device", subject.options.device)
      ->check(CLI::IsMember({"cpu", "cuda", "auto"}))
      ->capture_default_str();
  command.add_option("--threads", subject.options.threads, "0: all cores");
}

void AddSubjectOptions(CLI::App& command, Subject& subject) {
  command.add_option("images", subject.paths, "Files, or folders with images")->required();
  AddModelOptions(command, subject);
}

StatusOr<UsableModel> ReadUsableModel(const std::string& dir, const std::string& file) {
  if (!file.empty()) {
    CSL_ASSIGN_OR_RETURN(Model model, ReadModel(file));
    CSL_ASSIGN_OR_RETURN(const std::string digest, DigestOfFile(file));
    return UsableModel{std::move(model), digest};
  }
  if (dir.empty()) {
    return InvalidArgument("want --model FILE, or --dir DIR of a hospital that has pulled a model");
  }
  CSL_ASSIGN_OR_RETURN(const v1::SiteConfig site, ReadSiteOfFolder(dir));
  CSL_ASSIGN_OR_RETURN(const ModelShelf shelf,
                       ModelShelf::Open(dir, site.policy().accept_unsigned_models()));
  CSL_ASSIGN_OR_RETURN(Model model, shelf.ReadCurrent(SystemClock().Now()));
  CSL_RETURN_IF_ERROR(LocalTensors(dir).PutLastInto(model));
  CSL_ASSIGN_OR_RETURN(const std::string digest, DigestOfFile(shelf.current()));
  return UsableModel{std::move(model), digest};
}

fs::path CalibrationOf(const fs::path& dir, const std::string& digest) {
  return dir / "calibrations" / digest;
}

StatusOr<std::optional<Calibration>> FindCalibration(const Subject& subject,
                                                     const std::string& digest) {
  if (!subject.model.empty() && subject.calibration.empty()) return std::nullopt;
  auto calibration = ReadCalibration(
      subject.model.empty() ? CalibrationOf(subject.dir, digest) : fs::path(subject.calibration),
      digest);
  if (!subject.dir.empty() && absl::IsNotFound(calibration.status())) {
    fmt::print(stderr,
               "not calibrated: probabilities are the model's own, and nothing tells whether it "
               "knows such pictures; see consilium-client calibrate\n");
    return std::nullopt;
  }
  CSL_RETURN_IF_ERROR(calibration.status());
  return *std::move(calibration);
}

StatusOr<Predictor> PredictorOf(const Subject& subject) {
  CSL_ASSIGN_OR_RETURN(const UsableModel usable, ReadUsableModel(subject.dir, subject.model));
  CSL_ASSIGN_OR_RETURN(auto calibration, FindCalibration(subject, usable.digest));
  return Predictor::Create(usable.model, subject.options, std::move(calibration));
}

StatusOr<std::vector<fs::path>> ImagesOf(const Subject& subject) {
  return FindImages({subject.paths.begin(), subject.paths.end()});
}

void PrintLimits() {
  fmt::print(stderr,
             "Research use only; not a medical device. A probability is this model's, not a "
             "diagnosis.\n");
}

Status CountFailures(std::size_t failures, std::size_t images) {
  if (failures == 0) return OkStatus();
  return InvalidArgument("{} of {} images could not be read", failures, images);
}

}  // namespace consilium
