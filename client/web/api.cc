#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "client/infer/prediction_json.h"
#include "client/web/api_internal.h"

namespace consilium {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kLimits[] =
    "Research use only: not a medical device, not validated for any patient. Public sets of "
    "COVID-19 confound class and source; a picture that a network confuses with those it knows is "
    "not found out.";

ApiAnswer JsonAnswer(const Json& json) {
  return {.body = json.dump(-1, ' ', false, Json::error_handler_t::replace), .headers = {}};
}

ApiAnswer ToAnswer(ShownPicture picture) {
  return {.body = std::move(picture.png),
          .type = "image/png",
          .headers = {{"X-Picture-Width", std::to_string(picture.width)},
                      {"X-Picture-Height", std::to_string(picture.height)}}};
}

Json ToJson(const Calibration& calibration) {
  Json json = {{"temperature", calibration.temperature},
               {"specificity", calibration.specificity},
               {"validation_images", calibration.validation_images},
               {"known_pictures", calibration.known.size()},
               {"thresholds", Json::object()}};
  for (std::size_t c = 0; c < calibration.classes.size(); ++c) {
    const auto& threshold = calibration.thresholds[c];
    json["thresholds"][calibration.classes[c]] = threshold ? Json(*threshold) : Json(nullptr);
  }
  return json;
}

// The known pictures that are nearest, by number: their names stay here.
Json SimilarPictures(const Prediction& prediction, const Calibration& calibration) {
  constexpr std::size_t kMost = 3;
  Json similar = Json::array();
  for (const Neighbour& neighbour : prediction.judgement->similar) {
    if (similar.size() == kMost) break;
    similar.push_back({{"number", neighbour.index},
                       {"label", calibration.known_labels[neighbour.index]},
                       {"distance", neighbour.distance}});
  }
  return similar;
}

StatusOr<std::optional<int>> ClassNamed(const std::vector<std::string>& classes,
                                        const std::string& name) {
  if (name.empty()) return std::nullopt;
  const auto found = std::ranges::find(classes, name);
  if (found != classes.end()) return static_cast<int>(found - classes.begin());
  return InvalidArgument("the model has no such class; it has {}", fmt::join(classes, ", "));
}

}  // namespace

ApiAnswer DescribeModel(const Desk& desk, bool takes_corrections) {
  const ModelInfo& info = desk.info();
  const Json model = {
      {"digest", desk.digest()},
      {"architecture", info.spec.architecture},
      {"classes", info.spec.classes},
      {"input_size", info.spec.input_size},
      {"parameters", desk.layout().size()},
      {"run", info.provenance.run},
      {"round", info.provenance.round},
      {"training_sites", info.provenance.training_sites},
      {"calibration", desk.calibration() ? ToJson(*desk.calibration()) : Json(nullptr)},
      {"explanations", ExplanationMethods()},
      {"measures_extent", desk.measures_extent()},
      {"takes_corrections", takes_corrections},
      {"limits", kLimits}};
  return JsonAnswer({{"models", Json::array({model})}});
}

StatusOr<ApiAnswer> PredictPicture(Desk& desk, const std::string& picture) {
  CSL_ASSIGN_OR_RETURN(const Prediction prediction, desk.Predict(picture));
  Json json = ToJson(prediction, desk.info().spec.classes);
  json["model"] = desk.digest();
  const StudyFacts study = desk.FactsOf(picture);
  if (!study.patient.empty()) json["patient"] = study.patient;
  if (!study.date.empty()) json["date"] = study.date;
  if (prediction.judgement) json["similar"] = SimilarPictures(prediction, *desk.calibration());
  json["limits"] = kLimits;
  return JsonAnswer(json);
}

StatusOr<ApiAnswer> ShowPicture(const Desk& desk, const std::string& picture) {
  CSL_ASSIGN_OR_RETURN(ShownPicture shown, desk.Show(picture));
  return ToAnswer(std::move(shown));
}

StatusOr<ApiAnswer> ExplainPicture(Desk& desk, const std::string& picture, const std::string& of,
                                   const std::string& method, const std::stop_token& stop) {
  const auto& classes = desk.info().spec.classes;
  CSL_ASSIGN_OR_RETURN(const auto which, ClassNamed(classes, of));
  CSL_ASSIGN_OR_RETURN(
      const ExplanationMethod how,
      ParseExplanationMethod(method.empty() ? ExplanationMethods().front() : method));
  CSL_ASSIGN_OR_RETURN(ShownMap map, desk.Explain(picture, which, how, stop));
  return ApiAnswer{.body = std::move(map.png),
                   .type = "image/png",
                   .headers = {{"X-Explained", std::to_string(map.explained)}}};
}

StatusOr<ApiAnswer> MeasureExtent(Desk& desk, const std::string& picture) {
  CSL_ASSIGN_OR_RETURN(const ShownExtent shown, desk.Measure(picture));
  Json json = ToJson(shown.extent);
  json["limits"] = kLimits;
  return JsonAnswer(json);
}

StatusOr<ApiAnswer> ShowExtent(Desk& desk, const std::string& picture) {
  CSL_ASSIGN_OR_RETURN(ShownExtent shown, desk.Measure(picture));
  return ApiAnswer{.body = std::move(shown.png), .type = "image/png", .headers = {}};
}

StatusOr<ApiAnswer> ShowKnownPicture(const Desk& desk, const std::string& number) {
  std::size_t index = 0;
  const auto [end, failed] = std::from_chars(number.data(), number.data() + number.size(), index);
  if (failed != std::errc() || end != number.data() + number.size()) {
    return InvalidArgument("want the number of a known picture");
  }
  CSL_ASSIGN_OR_RETURN(ShownPicture shown, desk.ShowKnown(index));
  return ToAnswer(std::move(shown));
}

StatusOr<ApiAnswer> CorrectPicture(Desk& desk, const std::optional<CorrectionBook>& book,
                                   const std::string& picture, const std::string& label,
                                   const std::string& reader, TimePoint now) {
  if (!book) return absl::UnimplementedError("this desk keeps nothing: serve a hospital's --dir");
  const auto& classes = desk.info().spec.classes;
  CSL_ASSIGN_OR_RETURN(const auto which, ClassNamed(classes, label));
  if (!which) return InvalidArgument("want a label: one of {}", fmt::join(classes, ", "));
  CSL_ASSIGN_OR_RETURN(const Prediction prediction, desk.Predict(picture));
  CSL_ASSIGN_OR_RETURN(
      const Correction noted,
      book->Note({.label = label,
                  .reader = reader,
                  .model_digest = desk.digest(),
                  .predicted = classes[static_cast<std::size_t>(prediction.predicted)]},
                 picture, now));
  return JsonAnswer({{"id", noted.id},
                     {"label", noted.label},
                     {"reader", noted.reader},
                     {"predicted", noted.predicted},
                     {"state", CorrectionStateName(noted.state)}});
}

}  // namespace consilium
