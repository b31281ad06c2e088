#include "client/web/desk.h"

#include "client/infer/overlay.h"
#include "client/preprocess/image.h"
#include "common/base/file.h"
#include "common/crypto/digest.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;

// A picture on its way through readers that want a file: private, and gone with this.
class PictureFile {
 public:
  static StatusOr<PictureFile> Write(const std::string& bytes) {
    PictureFile file(fs::temp_directory_path() / ("consilium-" + RandomHex(16)));
    CSL_RETURN_IF_ERROR(WriteFileAtomically(file.path_, bytes, kPrivateMode));
    return file;
  }
  ~PictureFile() {
    std::error_code error;
    if (!path_.empty()) fs::remove(path_, error);
  }
  PictureFile(PictureFile&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  PictureFile& operator=(PictureFile&&) = delete;

  const fs::path& path() const { return path_; }

  // An error without this file's name, which tells a caller nothing.
  Status Anonymous(const Status& status) const {
    std::string message(status.message());
    const std::string prefix = path_.string() + ": ";
    if (message.starts_with(prefix)) message.erase(0, prefix.size());
    return {status.code(), message};
  }

 private:
  explicit PictureFile(fs::path path) : path_(std::move(path)) {}
  fs::path path_;
};

}  // namespace

StatusOr<std::unique_ptr<Desk>> Desk::Create(ModelInUse in_use, const PredictOptions& options) {
  CSL_ASSIGN_OR_RETURN(Predictor predictor,
                       Predictor::Create(in_use.model, options, in_use.calibration));
  return std::unique_ptr<Desk>(new Desk(in_use, std::move(predictor)));
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
  ShownPicture shown{.png = {}, .width = image->width, .height = image->height};
  CSL_ASSIGN_OR_RETURN(shown.png, EncodeSquare(*image));
  return shown;
}

StatusOr<ShownPicture> Desk::ShowKnown(std::size_t number) const {
  if (!calibration_ || number >= calibration_->known_paths.size()) {
    return NotFound("no picture of this number is known");
  }
  const ModelSpec& spec = info_.spec;
  const auto image =
      ReadImage(calibration_->known_paths[number], {spec.window_center, spec.window_width});
  if (!image.ok()) return NotFound("the picture is not there any more");
  ShownPicture shown{.png = {}, .width = image->width, .height = image->height};
  CSL_ASSIGN_OR_RETURN(shown.png, EncodeSquare(*image));
  return shown;
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
