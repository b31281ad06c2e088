#include "client/intake/fhir.h"

#include <chrono>
#include <ctime>
#include <nlohmann/json.hpp>

#include "client/infer/prediction_json.h"
#include "common/crypto/digest.h"

namespace consilium {
namespace {

using Json = nlohmann::ordered_json;

// An instant in UTC.
std::string Instant(TimePoint time) {
  const std::time_t seconds = ToUnixMillis(time) / 1000;
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

// A UUID from what the resource is of, so that the same prediction has the same one (RFC 9562,
// section 5.8).
std::string UrnOf(const std::string& what) {
  std::string hex = Sha256Of(what).substr(0, 32);
  hex[12] = '8';
  hex[16] = 'a';
  return fmt::format("urn:uuid:{}-{}-{}-{}-{}", hex.substr(0, 8), hex.substr(8, 4),
                     hex.substr(12, 4), hex.substr(16, 4), hex.substr(20));
}

Json Concept(const std::string& text) { return {{"text", text}}; }

Json SubjectOf(const FhirContext& context) {
  if (context.patient_id.empty()) return {{"display", "unknown"}};
  return {{"type", "Patient"}, {"identifier", {{"value", context.patient_id}}}};
}

Json StudyOf(const FhirContext& context) {
  return {{"type", "ImagingStudy"},
          {"identifier", {{"system", "urn:dicom:uid"}, {"value", "urn:oid:" + context.study_uid}}}};
}

Json DeviceOf(const FhirContext& context) {
  return {{"resourceType", "Device"},
          {"manufacturer", "Consilium"},
          {"deviceName", Json::array({{{"name", "Consilium"}, {"type", "manufacturer-name"}}})},
          {"version",
           Json::array({{{"type", Concept("software")}, {"value", context.software}},
                        {{"type", Concept("model, SHA-256")}, {"value", context.model_digest}}})},
          {"note", Json::array({{{"text", kResearchUse}}})}};
}

Json ObservationOf(const Prediction& prediction, std::size_t c, const std::string& name,
                   const FhirContext& context, const std::string& device, bool called) {
  Json observation = {{"resourceType", "Observation"},
                      {"status", "preliminary"},
                      {"code", Concept("Probability of " + name)},
                      {"subject", SubjectOf(context)},
                      {"derivedFrom", Json::array({StudyOf(context)})},
                      {"effectiveDateTime", Instant(context.made)},
                      {"device", {{"reference", device}}}};
  if (Abstains(prediction)) {
    observation["dataAbsentReason"] = Concept("the image is unlike those that the model knows");
    return observation;
  }
  observation["valueQuantity"] = {{"value", prediction.probabilities[c]},
                                  {"system", "http://unitsofmeasure.org"},
                                  {"code", "1"}};
  if (prediction.judgement) {
    observation["interpretation"] =
        Json::array({Concept(called ? "at or above its threshold" : "below its threshold")});
  }
  return observation;
}

std::string Conclusion(const Prediction& prediction, const std::vector<std::string>& classes) {
  if (Abstains(prediction)) {
    return std::string("No answer: the image is unlike those that the model knows. ") +
           kResearchUse;
  }
  return fmt::format("The model says: {}. {}",
                     classes[static_cast<std::size_t>(prediction.predicted)], kResearchUse);
}

// A resource is made unless the server has it from an earlier attempt.
Json EntryOf(const std::string& urn, Json resource) {
  constexpr char kSystem[] = "urn:ietf:rfc3986";
  const std::string type = resource["resourceType"];
  resource["identifier"] = Json::array({{{"system", kSystem}, {"value", urn}}});
  return {{"fullUrl", urn},
          {"resource", std::move(resource)},
          {"request",
           {{"method", "POST"},
            {"url", type},
            {"ifNoneExist", fmt::format("identifier={}|{}", kSystem, urn)}}}};
}

}  // namespace

std::string ToFhir(const Prediction& prediction, const std::vector<std::string>& classes,
                   const FhirContext& context) {
  // All that is said and of whom: a corrected result is another one.
  const std::string what =
      fmt::format("{}\n{}\n{}\n{}\n{:.6f}\n{}\n{}", context.sop_instance_uid, context.model_digest,
                  context.patient_id, context.study_uid, fmt::join(prediction.probabilities, " "),
                  fmt::join(CalledClasses(prediction, classes), " "), Abstains(prediction));
  const std::string device = UrnOf(context.model_digest + context.software);
  const std::vector<std::string> called = CalledClasses(prediction, classes);
  Json results = Json::array();
  Json entries = Json::array({EntryOf(device, DeviceOf(context))});
  for (std::size_t c = 0; c < classes.size(); ++c) {
    const std::string urn = UrnOf(what + classes[c]);
    const bool is_called = std::ranges::count(called, classes[c]) > 0;
    entries.push_back(
        EntryOf(urn, ObservationOf(prediction, c, classes[c], context, device, is_called)));
    results.push_back({{"reference", urn}});
  }
  const Json report = {{"resourceType", "DiagnosticReport"},
                       {"status", "preliminary"},
                       {"code", Concept("Chest image, read by a model")},
                       {"subject", SubjectOf(context)},
                       {"effectiveDateTime", Instant(context.made)},
                       {"issued", Instant(context.made)},
                       {"imagingStudy", Json::array({StudyOf(context)})},
                       {"result", results},
                       {"conclusion", Conclusion(prediction, classes)}};
  entries.push_back(EntryOf(UrnOf(what), report));
  const Json bundle = {{"resourceType", "Bundle"}, {"type", "transaction"}, {"entry", entries}};
  return bundle.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace consilium
