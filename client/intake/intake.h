#pragma once

// What comes from a PACS or a modality, read by a model as it arrives.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "client/infer/predictor.h"
#include "client/intake/fhir_server.h"
#include "common/base/clock.h"
#include "common/base/status.h"

namespace consilium {

struct IntakeOptions {
  std::filesystem::path folder;  // incoming/, reading/, results/ and failed/ are made in it
  std::uint16_t port = 11112;
  std::string ae_title = "CONSILIUM";
  std::vector<std::string> senders;  // AE titles
  std::string results_to;            // "TITLE@HOST:PORT"; empty: results stay in the folder
  FhirServer fhir_to;                // likewise
  bool keep_images = false;          // else an image goes once it was read: the PACS has it
  std::string software;              // "consilium 0.3.0"
  std::string model_digest;
};

// Receives images (consilium-pacs), predicts and explains each, and writes for each into results/:
// UID.json, UID.overlay.png, UID.sr.dcm and UID.sc.dcm (see client/pacs/report.h) and
// UID.fhir.json; sends the two DICOM objects, and posts the last, on. What cannot be read lies in
// failed/, with a UID.txt that says why. Results that cannot be sent are tried again until they
// are, also by the next process, which begins with the image that this one was at; what the FHIR
// server refuses for what it is has a UID.refused beside it, and the log the reason. Until stopped.
// UNAVAILABLE where the receiver ends, which says why on stderr.
Status TakeIn(Predictor& predictor, const IntakeOptions& options, const Clock& clock,
              const std::stop_token& stop);

}  // namespace consilium
