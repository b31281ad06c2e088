#include "client/infer/prediction_json.h"

#include <nlohmann/json.hpp>

namespace consilium {

bool Abstains(const Prediction& prediction) {
  return prediction.judgement && prediction.judgement->is_unlike;
}

std::vector<std::string> CalledClasses(const Prediction& prediction,
                                       const std::vector<std::string>& classes) {
  std::vector<std::string> called;
  if (!prediction.judgement || Abstains(prediction)) return called;
  for (std::size_t c = 0; c < classes.size(); ++c) {
    if (prediction.judgement->called[c]) called.push_back(classes[c]);
  }
  return called;
}

nlohmann::ordered_json ToJson(const Prediction& prediction,
                              const std::vector<std::string>& classes) {
  nlohmann::ordered_json json = {
      {"prediction", classes[static_cast<std::size_t>(prediction.predicted)]}};
  for (std::size_t c = 0; c < classes.size(); ++c) {
    json["probabilities"][classes[c]] = prediction.probabilities[c];
    if (!prediction.spread.empty()) json["spread"][classes[c]] = prediction.spread[c];
  }
  if (prediction.judgement) {
    json["abstains"] = Abstains(prediction);
    json["called"] = CalledClasses(prediction, classes);
    json["distance"] = prediction.judgement->distance;
    json["energy"] = prediction.judgement->energy;
    json["layout_distance"] = prediction.judgement->layout_distance;
  }
  return json;
}

nlohmann::ordered_json ToJson(const Extent& extent) {
  const auto of_lung = [](const std::optional<LungExtent>& lung) -> nlohmann::ordered_json {
    if (!lung) return nullptr;
    return {{"area", lung->area}, {"affected", lung->affected}};
  };
  nlohmann::ordered_json json = {{"right_lung", of_lung(extent.right)},
                                 {"left_lung", of_lung(extent.left)},
                                 {"geographic_extent", nullptr},
                                 {"opacity", nullptr}};
  if (extent.geographic_extent) json["geographic_extent"] = *extent.geographic_extent;
  if (extent.opacity) json["opacity"] = *extent.opacity;
  return json;
}

}  // namespace consilium
