#include "client/session/run_course.h"

#include <nlohmann/json.hpp>

#include "common/base/file.h"
#include "common/metrics/report.h"

namespace consilium {

using Json = nlohmann::ordered_json;

std::filesystem::path RunCourse::PathOf(const std::string& run) const {
  return folder_ / (run + ".json");
}

Status RunCourse::NoteOwn(const std::string& run, int round, const Evaluation& evaluation) const {
  return Note(run, "own", round, evaluation);
}

Status RunCourse::NotePooled(const std::string& run, int round,
                             const Evaluation& evaluation) const {
  return Note(run, "pooled", round, evaluation);
}

Status RunCourse::Note(const std::string& run, const char* whose, int round,
                       const Evaluation& evaluation) const {
  if (evaluation.examples() == 0) return OkStatus();
  CSL_RETURN_IF_ERROR(MakeFolders(folder_));
  CSL_ASSIGN_OR_RETURN(Json course, Read(run));
  const Report report = Summarise(evaluation);
  Json& noted = course[whose][std::to_string(round)];
  noted = {{"balanced_accuracy", nullptr}, {"loss", nullptr}};
  if (report.balanced_accuracy) noted["balanced_accuracy"] = *report.balanced_accuracy;
  if (report.loss) noted["loss"] = *report.loss;
  return WriteFileAtomically(PathOf(run), course.dump() + "\n", kPrivateMode);
}

StatusOr<Json> RunCourse::Read(const std::string& run) const {
  Json course = {{"own", Json::object()}, {"pooled", Json::object()}};
  const auto text = ReadFile(PathOf(run));
  if (absl::IsNotFound(text.status())) return course;
  CSL_RETURN_IF_ERROR(text.status());
  const Json read = Json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!read.is_object()) return DataLoss("{}: damaged", PathOf(run).string());
  course.update(read);
  return course;
}

}  // namespace consilium
