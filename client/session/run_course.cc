#include "client/session/run_course.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/base/file.h"
#include "common/crypto/digest.h"
#include "common/metrics/report.h"

namespace consilium {
namespace {

using Json = nlohmann::ordered_json;

// Rounds by number. Empty where there is no file.
StatusOr<Json> ReadRounds(const std::filesystem::path& path) {
  const auto text = ReadFile(path);
  if (absl::IsNotFound(text.status())) return Json::object();
  CSL_RETURN_IF_ERROR(text.status());
  Json read = Json::parse(*text, nullptr, /*allow_exceptions=*/false);
  const auto is_object = [](const Json& json) { return json.is_object(); };
  if (!read.is_object() || !std::all_of(read.begin(), read.end(), is_object)) {
    return DataLoss("{}: damaged", path.string());
  }
  return read;
}

}  // namespace

std::filesystem::path RunCourse::PathOf(const std::string& run, const std::string& whose) const {
  return folder_ / fmt::format("{}.{}.json", Sha256Of(run), whose);
}

Status RunCourse::NoteOwn(const std::string& run, int round, const Evaluation& evaluation) const {
  return Note(PathOf(run, "own"), {{round, evaluation}});
}

Status RunCourse::NotePooled(const std::string& run, const EvaluationsByRound& evaluations) const {
  return Note(PathOf(run, "pooled"), evaluations);
}

Status RunCourse::Note(const std::filesystem::path& path,
                       const EvaluationsByRound& evaluations) const {
  CSL_RETURN_IF_ERROR(MakeFolders(folder_));
  CSL_ASSIGN_OR_RETURN(Json rounds, ReadRounds(path));
  for (const auto& [round, evaluation] : evaluations) {
    if (evaluation.examples() == 0) continue;
    const Report report = Summarise(evaluation);
    Json& noted = rounds[std::to_string(round)];
    noted = {{"balanced_accuracy", nullptr}, {"loss", nullptr}};
    if (report.balanced_accuracy) noted["balanced_accuracy"] = *report.balanced_accuracy;
    if (report.loss) noted["loss"] = *report.loss;
  }
  return WriteFileAtomically(path, rounds.dump() + "\n", kPrivateMode);
}

StatusOr<Json> RunCourse::Read(const std::string& run) const {
  Json course;
  for (const char* whose : {"own", "pooled"}) {
    CSL_ASSIGN_OR_RETURN(course[whose], ReadRounds(PathOf(run, whose)));
  }
  return course;
}

}  // namespace consilium
