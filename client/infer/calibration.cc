#include "client/infer/calibration.h"

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "common/base/file.h"

namespace consilium {
namespace {

using Json = nlohmann::json;

constexpr int kVersion = 2;
constexpr std::size_t kMaxBytes = std::size_t{1} << 30;

Json ToJson(const std::vector<float>& features) {
  std::vector<std::uint8_t> bytes(features.size() * sizeof(float));
  std::memcpy(bytes.data(), features.data(), bytes.size());
  return Json::binary(std::move(bytes));
}

// INVALID_ARGUMENT unless they are of so many pictures.
StatusOr<KnownPictures> ToKnown(const Json& json, int width, std::size_t pictures) {
  const auto& bytes = json.get_binary();
  if (width < 1 || bytes.size() != pictures * static_cast<std::size_t>(width) * sizeof(float)) {
    return InvalidArgument("its parts do not fit together");
  }
  std::vector<float> features(bytes.size() / sizeof(float));
  std::memcpy(features.data(), bytes.data(), bytes.size());
  return KnownPictures(width, std::move(features));
}

Json ToJson(const Calibration& calibration) {
  Json thresholds = Json::array();
  for (const auto& threshold : calibration.thresholds) {
    thresholds.push_back(threshold ? Json(*threshold) : Json(nullptr));
  }
  return {{"version", kVersion},
          {"model_digest", calibration.model_digest},
          {"classes", calibration.classes},
          {"validation_images", calibration.validation_images},
          {"temperature", calibration.temperature},
          {"specificity", calibration.specificity},
          {"thresholds", thresholds},
          {"width", calibration.known.width()},
          {"features", ToJson(calibration.known.features())},
          {"layouts", ToJson(calibration.layouts.features())},
          {"known_paths", calibration.known_paths},
          {"known_labels", calibration.known_labels},
          {"distance_limit", calibration.distance_limit},
          {"energy_limit", calibration.energy_limit},
          {"layout_limit", calibration.layout_limit}};
}

// Throws what the library throws for what is not there or of another type.
StatusOr<Calibration> FromJson(const Json& json) {
  if (json.at("version") != kVersion) return InvalidArgument("of another version; calibrate anew");
  Calibration calibration{.model_digest = json.at("model_digest"),
                          .classes = json.at("classes"),
                          .validation_images = json.at("validation_images"),
                          .temperature = json.at("temperature"),
                          .specificity = json.at("specificity")};
  for (const Json& threshold : json.at("thresholds")) {
    calibration.thresholds.push_back(threshold.is_null() ? std::nullopt
                                                         : std::optional(threshold.get<double>()));
  }
  calibration.known_paths = json.at("known_paths").get<std::vector<std::string>>();
  calibration.known_labels = json.at("known_labels").get<std::vector<std::string>>();
  calibration.distance_limit = json.at("distance_limit");
  calibration.energy_limit = json.at("energy_limit");
  calibration.layout_limit = json.at("layout_limit");
  const std::size_t pictures = calibration.known_paths.size();
  if (calibration.known_labels.size() != pictures ||
      calibration.thresholds.size() != calibration.classes.size() ||
      !(calibration.temperature > 0)) {
    return InvalidArgument("its parts do not fit together");
  }
  CSL_ASSIGN_OR_RETURN(calibration.known, ToKnown(json.at("features"), json.at("width"), pictures));
  CSL_ASSIGN_OR_RETURN(calibration.layouts,
                       ToKnown(json.at("layouts"), kLayoutSide * kLayoutSide, pictures));
  return calibration;
}

}  // namespace

Status WriteCalibration(const std::filesystem::path& path, const Calibration& calibration) {
  const std::vector<std::uint8_t> bytes = Json::to_cbor(ToJson(calibration));
  const std::span<const std::byte> part = std::as_bytes(std::span(bytes));
  return WriteFileAtomically(path, std::span(&part, 1), kPrivateMode);
}

StatusOr<Calibration> ReadCalibration(const std::filesystem::path& path,
                                      const std::string& model_digest) {
  CSL_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path, kMaxBytes));
  const auto parsed =
      CatchAsStatus("no calibration", [&] { return FromJson(Json::from_cbor(bytes)); });
  const Status status = parsed.ok() ? parsed->status() : parsed.status();
  if (!status.ok()) return InvalidArgument("{}: {}", path.string(), std::string(status.message()));
  if ((*parsed)->model_digest != model_digest) {
    return InvalidArgument("{}: of another model ({}); calibrate this one", path.string(),
                           (*parsed)->model_digest);
  }
  return **parsed;
}

}  // namespace consilium
