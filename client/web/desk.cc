#include "client/web/desk.h"

#include <sys/mman.h>
#include <unistd.h>

#include <charconv>
#include <chrono>

#include "client/data/manifest.h"
#include "client/infer/overlay.h"
#include "client/preprocess/dicom.h"
#include "client/preprocess/image.h"
#include "common/base/file.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;

// A picture on its way through readers that want a file: in memory, so that nothing of it is left
// behind, however this process ends.
class PictureFile {
 public:
  static StatusOr<PictureFile> Write(const std::string& bytes) {
    FileDescriptor memory(::memfd_create("picture", MFD_CLOEXEC));
    if (memory.get() < 0) return ErrnoStatus(errno, "no memory for", "a picture");
    CSL_RETURN_IF_ERROR(WriteAll(memory.get(), AsBytes(bytes), "a picture"));
    return PictureFile(std::move(memory));
  }

  // Where consilium-dicom finds it, too.
  fs::path path() const { return fmt::format("/proc/{}/fd/{}", ::getpid(), memory_.get()); }

  // An error without this file's name, which tells a caller nothing.
  Status Anonymous(const Status& status) const {
    std::string message(status.message());
    const std::string prefix = path().string() + ": ";
    if (message.starts_with(prefix)) message.erase(0, prefix.size());
    return {status.code(), message};
  }

 private:
  explicit PictureFile(FileDescriptor memory) : memory_(std::move(memory)) {}
  FileDescriptor memory_;
};

StatusOr<ShownPicture> ToShown(const Image& image) {
  ShownPicture shown{.png = {}, .width = image.width, .height = image.height};
  CSL_ASSIGN_OR_RETURN(shown.png, EncodeSquare(image));
  return shown;
}

// "20200317" as "2020-03-17"; empty for what is no day.
std::string ToDate(const std::string& text) {
  int numbers[3] = {};
  constexpr std::size_t kEnds[] = {4, 6, 8};
  std::size_t begin = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    const char* end = text.data() + kEnds[i];
    if (text.size() != 8 || std::from_chars(text.data() + begin, end, numbers[i]).ptr != end) {
      return "";
    }
    begin = kEnds[i];
  }
  const std::chrono::year_month_day day(std::chrono::year(numbers[0]),
                                        std::chrono::month(static_cast<unsigned>(numbers[1])),
                                        std::chrono::day(static_cast<unsigned>(numbers[2])));
  if (!day.ok()) return "";
  return text.substr(0, 4) + "-" + text.substr(4, 2) + "-" + text.substr(6);
}

}  // namespace

StatusOr<std::unique_ptr<Desk>> Desk::Create(ModelInUse in_use, const PredictOptions& options) {
  CSL_ASSIGN_OR_RETURN(Predictor predictor,
                       Predictor::Create(in_use.model, options, in_use.calibration));
  std::optional<ExtentMeter> meter;
  if (in_use.extent_model) {
    CSL_ASSIGN_OR_RETURN(
        meter, ExtentMeter::Create(*in_use.extent_model, options.device, options.threads));
  }
  return std::unique_ptr<Desk>(new Desk(in_use, std::move(predictor), std::move(meter)));
}

StudyFacts Desk::FactsOf(const std::string& picture) const {
  if (!IsDicom(AsBytes(picture))) return {};
  const auto file = PictureFile::Write(picture);
  if (!file.ok()) return {};
  const auto facts = ReadDicomFacts(file->path());
  if (!facts.ok()) return {};
  StudyFacts study{.patient = Pseudonym(facts->patient_id), .date = {}};
  study.date = ToDate(facts->study_date);
  return study;
}

StatusOr<ShownExtent> Desk::Measure(const std::string& picture) {
  if (!measures_extent_) {
    return absl::UnimplementedError("this desk measures no extent: serve an --extent-model");
  }
  CSL_ASSIGN_OR_RETURN(const PictureFile file, PictureFile::Write(picture));
  StatusOr<MeasuredPicture> measured = Internal("no extent");
  int side = 0;
  {
    MutexLock lock(mu_);
    side = meter_->side();
    measured = meter_->Measure(file.path());
  }
  if (!measured.ok()) return file.Anonymous(measured.status());
  ShownExtent shown{.extent = measured->extent, .png = {}};
  CSL_ASSIGN_OR_RETURN(shown.png, EncodeMap(measured->image, measured->map, side));
  return shown;
}

StatusOr<Prediction> Desk::Predict(const std::string& picture) {
  CSL_ASSIGN_OR_RETURN(const PictureFile file, PictureFile::Write(picture));
  StatusOr<Prediction> prediction = Internal("no prediction");
  MutexLock lock(mu_);
  CSL_RETURN_IF_ERROR(predictor_.Predict(
      {file.path()}, {}, [&](const StatusOr<Prediction>& one) { prediction = one; }));
  if (!prediction.ok()) return file.Anonymous(prediction.status());
  return prediction;
}

StatusOr<ShownPicture> Desk::Show(const std::string& picture) const {
  CSL_ASSIGN_OR_RETURN(const PictureFile file, PictureFile::Write(picture));
  const ModelSpec& spec = info_.spec;
  const auto image = ReadImage(file.path(), {spec.window_center, spec.window_width});
  if (!image.ok()) return file.Anonymous(image.status());
  return ToShown(*image);
}

StatusOr<ShownPicture> Desk::ShowKnown(std::size_t number) const {
  if (!calibration_ || number >= calibration_->known_paths.size()) {
    return NotFound("no picture of this number is known");
  }
  const ModelSpec& spec = info_.spec;
  const auto image =
      ReadImage(calibration_->known_paths[number], {spec.window_center, spec.window_width});
  if (!image.ok()) return NotFound("the picture is not there any more");
  return ToShown(*image);
}

StatusOr<ShownMap> Desk::Explain(const std::string& picture, const std::optional<int>& which,
                                 ExplanationMethod method, const std::stop_token& stop) {
  CSL_ASSIGN_OR_RETURN(const PictureFile file, PictureFile::Write(picture));
  StatusOr<ExplainedPrediction> explained = Internal("no explanation");
  {
    MutexLock lock(mu_);
    explained = predictor_.Explain(file.path(), which, method, stop);
  }
  if (!explained.ok()) return file.Anonymous(explained.status());
  ShownMap shown{.png = {}, .explained = explained->explained};
  CSL_ASSIGN_OR_RETURN(shown.png,
                       EncodeMap(explained->image, explained->map, info_.spec.input_size));
  return shown;
}

}  // namespace consilium
