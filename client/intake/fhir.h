#pragma once

// A prediction as FHIR R4 (hl7.org/fhir/R4) has it.

#include <string>
#include <vector>

#include "client/infer/predictor.h"
#include "common/base/clock.h"

namespace consilium {

// Which image it is of, and by what it was made.
struct FhirContext {
  std::string patient_id;
  std::string study_uid;
  std::string sop_instance_uid;
  std::string software;      // "0.3.0"
  std::string model_digest;  // SHA-256 of the model's file
  TimePoint made;
};

// A Bundle (transaction: a server that is given it twice makes its resources once) of a preliminary
// DiagnosticReport, an Observation for each class of the model, which has no value where the model
// abstains, and the Device that made them. The patient is named by the identifier in the image
// alone.
std::string ToFhir(const Prediction& prediction, const std::vector<std::string>& classes,
                   const FhirContext& context);

}  // namespace consilium
