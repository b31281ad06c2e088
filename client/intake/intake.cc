#include "client/intake/intake.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <thread>

#include "client/infer/overlay.h"
#include "client/infer/prediction_json.h"
#include "client/intake/fhir.h"
#include "client/intake/program.h"
#include "common/base/file.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::chrono::milliseconds kBetweenLooks{200};
constexpr std::chrono::seconds kBetweenSendings{10};
constexpr char kReceived[] = ".dcm";
// Beside results that are still to be sent, or posted.
constexpr char kUnsent[] = ".unsent";
constexpr char kUnposted[] = ".unposted";
constexpr char kRefused[] = ".refused";  // by who was to get them

// Files with that ending, the oldest first.
std::vector<fs::path> FilesOf(const fs::path& folder, const std::string& ending) {
  std::vector<std::pair<fs::file_time_type, fs::path>> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().extension() != ending) continue;
    found.emplace_back(entry.last_write_time(error), entry.path());
  }
  std::ranges::sort(found);
  std::vector<fs::path> files;
  for (auto& [time, path] : found) files.push_back(std::move(path));
  return files;
}

class Intake {
 public:
  Intake(Predictor& predictor, const IntakeOptions& options, const Clock& clock,
         const std::stop_token& stop)
      : predictor_(predictor),
        options_(options),
        clock_(clock),
        stop_(stop),
        incoming_(options.folder / "incoming"),
        reading_(options.folder / "reading"),
        results_(options.folder / "results"),
        failed_(options.folder / "failed") {}

  Status Run() {
    for (const fs::path& folder : {incoming_, reading_, results_, failed_}) {
      CSL_RETURN_IF_ERROR(MakeFolders(folder));
    }
    std::vector<std::string> arguments = {"receive", "--port", std::to_string(options_.port),
                                          "--title", options_.ae_title};
    for (const std::string& sender : options_.senders) {
      arguments.insert(arguments.end(), {"--sender", sender});
    }
    arguments.push_back(incoming_.string());
    CSL_ASSIGN_OR_RETURN(Program receiver, Program::Start("consilium-pacs", arguments));
    spdlog::info("'{}' takes images at port {}", options_.ae_title, options_.port);
    for (const fs::path& left : FilesOf(reading_, kReceived)) {  // by a process before this one
      CSL_RETURN_IF_ERROR(Settle(left));
    }
    while (!stop_.stop_requested()) {
      CSL_RETURN_IF_ERROR(SettleAll());
      if (stop_.stop_requested()) return OkStatus();
      SendWhatIsLeft();
      if (receiver.HasEnded()) return Unavailable("the receiver ended: see above");
      std::this_thread::sleep_for(kBetweenLooks);
    }
    return OkStatus();
  }

 private:
  // What has come. An image that comes again while it is read is another one, and read after it.
  Status SettleAll() {
    for (const fs::path& image : FilesOf(incoming_, kReceived)) {
      std::error_code error;
      fs::rename(image, reading_ / image.filename(), error);
      if (error) return ErrnoStatus(error.value(), "cannot take", image);
      CSL_RETURN_IF_ERROR(Settle(reading_ / image.filename()));
      if (stop_.stop_requested()) return OkStatus();
    }
    return OkStatus();
  }

  // Reads an image, or puts it aside where that is its own fault.
  Status Settle(const fs::path& image) {
    const Status read = ReadOne(image);
    if (absl::IsCancelled(read)) return OkStatus();  // the next process does it
    if (!read.ok() && !absl::IsInvalidArgument(read) && !absl::IsNotFound(read)) return read;
    std::error_code error;
    if (read.ok()) {
      spdlog::info("{}: read", image.stem().string());
      if (options_.keep_images) {
        fs::rename(image, results_ / image.filename(), error);
      } else {
        fs::remove(image, error);
      }
      return OkStatus();
    }
    spdlog::warn("{}: {}", image.stem().string(), std::string(read.message()));
    CSL_RETURN_IF_ERROR(WriteFileAtomically(failed_ / (image.stem().string() + ".txt"),
                                            std::string(read.message()) + "\n", kPrivateMode));
    fs::rename(image, failed_ / image.filename(), error);
    return error ? ErrnoStatus(error.value(), "cannot put aside", image) : OkStatus();
  }

  // A result is whole or not there: that of an image which was replaced goes first, from what is to
  // be sent, too.
  void RemoveResults(const std::string& uid) const {
    for (const char* ending : {kUnsent, kUnposted, kRefused, ".json", ".overlay.png", ".sr.dcm",
                               ".sc.dcm", ".fhir.json"}) {
      std::error_code error;
      fs::remove(results_ / (uid + ending), error);
    }
  }

  Status ReadOne(const fs::path& image) {
    CSL_ASSIGN_OR_RETURN(const ExplainedPrediction explained,
                         predictor_.Explain(image, {}, ExplanationMethod::kGradCam, stop_));
    const Status written = WriteResults(image, explained);
    if (!written.ok()) RemoveResults(image.stem().string());
    return written;
  }

  Status WriteResults(const fs::path& image, const ExplainedPrediction& explained) {
    const std::string uid = image.stem().string();
    const ModelSpec& spec = predictor_.spec();
    const fs::path overlay = results_ / (uid + ".overlay.png");
    CSL_RETURN_IF_ERROR(WriteOverlay(overlay, explained.image, explained.map, spec.input_size));
    Json json = ToJson(explained.prediction, spec.classes);
    json["model"] = options_.model_digest;
    json["software"] = options_.software;
    json["limits"] = kResearchUse;
    const fs::path told = results_ / (uid + ".json");
    CSL_RETURN_IF_ERROR(WriteFileAtomically(
        told, json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n", kPrivateMode));
    CSL_ASSIGN_OR_RETURN(const std::string facts,
                         RunProgram("consilium-pacs", {"report", image.string(), told.string(),
                                                       overlay.string(), results_.string()}));
    CSL_RETURN_IF_ERROR(WriteFhir(explained.prediction, facts, uid));
    if (!options_.fhir_to.url.empty()) {
      CSL_RETURN_IF_ERROR(WriteFileAtomically(results_ / (uid + kUnposted), "", kPrivateMode));
    }
    if (options_.results_to.empty()) return OkStatus();
    return WriteFileAtomically(results_ / (uid + kUnsent), "", kPrivateMode);
  }

  Status WriteFhir(const Prediction& prediction, const std::string& facts, const std::string& uid) {
    const Json image = Json::parse(facts, nullptr, /*allow_exceptions=*/false);
    if (!image.is_object()) return Internal("consilium-pacs report said nothing of the image");
    if (image.contains("error")) return InvalidArgument("{}", image.value("error", ""));
    const std::string fhir = ToFhir(prediction, predictor_.spec().classes,
                                    {.patient_id = image.value("patient", ""),
                                     .study_uid = image.value("study", ""),
                                     .sop_instance_uid = image.value("sop_instance", ""),
                                     .software = options_.software,
                                     .model_digest = options_.model_digest,
                                     .made = clock_.Now()});
    return WriteFileAtomically(results_ / (uid + ".fhir.json"), fhir, kPrivateMode);
  }

  void SendWhatIsLeft() {
    if (clock_.Now() < send_after_) return;
    HandOn(kUnsent, options_.results_to, [&](const std::string& uid) {
      const auto sent =
          RunProgram("consilium-pacs", {"send", "--to", options_.results_to, "--title",
                                        options_.ae_title, (results_ / (uid + ".sr.dcm")).string(),
                                        (results_ / (uid + ".sc.dcm")).string()});
      // What brings it down there comes from the PACS.
      return sent.ok() ? OkStatus() : Unavailable("{}", std::string(sent.status().message()));
    });
    HandOn(kUnposted, options_.fhir_to.url, [&](const std::string& uid) -> Status {
      CSL_ASSIGN_OR_RETURN(const std::string bundle, ReadFile(results_ / (uid + ".fhir.json")));
      return PostFhir(options_.fhir_to, bundle);
    });
  }

  // Of each image with that mark.
  void HandOn(const char* mark, const std::string& to,
              const std::function<Status(const std::string& uid)>& hand_on) {
    if (to.empty()) return;
    for (const fs::path& marked : FilesOf(results_, mark)) {
      if (stop_.stop_requested()) return;
      const std::string uid = marked.stem().string();
      const Status done = hand_on(uid);
      std::error_code error;
      if (absl::IsInvalidArgument(done)) {  // it will not be taken another time either
        spdlog::error("{}: {}", uid, std::string(done.message()));
        fs::rename(marked, results_ / (uid + kRefused), error);
        continue;
      }
      if (!done.ok()) {
        spdlog::warn("{}: not sent yet: {}", uid, std::string(done.message()));
        send_after_ = clock_.Now() + kBetweenSendings;
        return;
      }
      fs::remove(marked, error);
      spdlog::info("{}: sent to {}", uid, to);
    }
  }

  Predictor& predictor_;
  const IntakeOptions& options_;
  const Clock& clock_;
  const std::stop_token stop_;
  const fs::path incoming_;
  const fs::path reading_;
  const fs::path results_;
  const fs::path failed_;
  TimePoint send_after_;
};

}  // namespace

Status TakeIn(Predictor& predictor, const IntakeOptions& options, const Clock& clock,
              const std::stop_token& stop) {
  return Intake(predictor, options, clock, stop).Run();
}

}  // namespace consilium
