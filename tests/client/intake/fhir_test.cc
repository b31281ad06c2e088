#include "client/intake/fhir.h"

#include <gmock/gmock.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>

namespace consilium {
namespace {

using Json = nlohmann::json;

const std::vector<std::string> kClasses = {"covid", "normal"};

Prediction SomePrediction(bool unlike) {
  return {.probabilities = {0.75F, 0.25F},
          .predicted = 0,
          .judgement = Judgement{.called = {true, false}, .is_unlike = unlike}};
}

FhirContext SomeContext() {
  return {.patient_id = "P-17",
          .study_uid = "1.2.3",
          .sop_instance_uid = "1.2.3.4",
          .software = "consilium 0.3.0",
          .model_digest = "abcd",
          .made = FromUnixMillis(1'764'000'000'000)};
}

std::map<std::string, std::vector<Json>> ByType(const Json& bundle) {
  std::map<std::string, std::vector<Json>> resources;
  for (const Json& entry : bundle["entry"]) {
    resources[entry["resource"]["resourceType"]].push_back(entry["resource"]);
  }
  return resources;
}

TEST(Fhir, ReportHasAnObservationForEachClass) {
  const Json bundle = Json::parse(ToFhir(SomePrediction(false), kClasses, SomeContext()));
  EXPECT_EQ(bundle["resourceType"], "Bundle");
  auto resources = ByType(bundle);
  ASSERT_EQ(resources["Observation"].size(), 2U);
  const Json& covid = resources["Observation"][0];
  EXPECT_EQ(covid["code"]["text"], "Probability of covid");
  EXPECT_EQ(covid["valueQuantity"]["value"], 0.75);
  EXPECT_EQ(covid["interpretation"][0]["text"], "at or above its threshold");
  EXPECT_EQ(covid["subject"]["identifier"]["value"], "P-17");
  EXPECT_EQ(covid["effectiveDateTime"], "2025-11-24T16:00:00Z");
  EXPECT_EQ(resources["Observation"][1]["interpretation"][0]["text"], "below its threshold");
  const Json& report = resources["DiagnosticReport"].at(0);
  EXPECT_EQ(report["status"], "preliminary");
  EXPECT_EQ(report["imagingStudy"][0]["identifier"]["value"], "urn:oid:1.2.3");
  EXPECT_THAT(report["conclusion"].get<std::string>(),
              ::testing::AllOf(::testing::HasSubstr("covid"),
                               ::testing::HasSubstr("not a medical device")));
  EXPECT_EQ(resources["Device"].at(0)["version"][1]["value"], "abcd");
}

TEST(Fhir, ReferencesLeadToEntriesAndAreTheSameAgain) {
  const std::string text = ToFhir(SomePrediction(false), kClasses, SomeContext());
  EXPECT_EQ(text, ToFhir(SomePrediction(false), kClasses, SomeContext()));
  const Json bundle = Json::parse(text);
  std::set<std::string> urls;
  for (const Json& entry : bundle["entry"]) urls.insert(entry["fullUrl"]);
  EXPECT_EQ(urls.size(), bundle["entry"].size());
  auto resources = ByType(bundle);
  for (const Json& result : resources["DiagnosticReport"].at(0)["result"]) {
    EXPECT_TRUE(urls.contains(result["reference"]));
  }
  EXPECT_TRUE(urls.contains(resources["Observation"][0]["device"]["reference"]));
}

// A server that has the one does not take the other for it.
TEST(Fhir, CorrectedResultHasOtherIdentifiers) {
  const auto identifier = [](const Prediction& prediction, const FhirContext& context) {
    auto resources = ByType(Json::parse(ToFhir(prediction, kClasses, context)));
    return resources["DiagnosticReport"].at(0)["identifier"][0]["value"].get<std::string>();
  };
  const std::string first = identifier(SomePrediction(false), SomeContext());
  FhirContext of_another = SomeContext();
  of_another.patient_id = "P-18";
  EXPECT_NE(identifier(SomePrediction(false), of_another), first);
  EXPECT_NE(identifier(SomePrediction(true), SomeContext()), first);
}

TEST(Fhir, ModelThatAbstainsGivesNoValue) {
  auto resources = ByType(Json::parse(ToFhir(SomePrediction(true), kClasses, SomeContext())));
  for (const Json& observation : resources["Observation"]) {
    EXPECT_FALSE(observation.contains("valueQuantity"));
    EXPECT_TRUE(observation.contains("dataAbsentReason"));
  }
  EXPECT_THAT(resources["DiagnosticReport"].at(0)["conclusion"].get<std::string>(),
              ::testing::StartsWith("No answer"));
}

// An identifier that comes from an image is text, whatever is in it.
TEST(Fhir, PatientsIdentifierIsNoMarkup) {
  FhirContext context = SomeContext();
  context.patient_id = "\"}],\xff\n<b>";
  auto resources = ByType(Json::parse(ToFhir(SomePrediction(false), kClasses, context)));
  EXPECT_THAT(resources["Observation"][0]["subject"]["identifier"]["value"].get<std::string>(),
              ::testing::StartsWith("\"}],"));
  context.patient_id.clear();
  resources = ByType(Json::parse(ToFhir(SomePrediction(false), kClasses, context)));
  EXPECT_EQ(resources["Observation"][0]["subject"]["display"], "unknown");
}

}  // namespace
}  // namespace consilium
