#pragma once

// What a model says of a DICOM image, as DICOM objects that a PACS keeps beside it: a structured
// report and a secondary capture.

#include <filesystem>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace consilium {

struct ImageFinding {
  std::string finding;  // a class of the model
  double probability = 0;
  bool called = false;  // at or above its threshold
};

struct ImageReport {
  std::string software;      // "consilium 0.3.0"
  std::string model_digest;  // SHA-256 of the model's file
  std::vector<ImageFinding> findings;
  bool abstains = false;  // the image is unlike what the model knows
  std::string limits;     // what this is not
};

// Which image it was, for who links other records to it.
struct ReportedImage {
  std::string patient_id;
  std::string study_uid;
  std::string sop_class_uid;
  std::string sop_instance_uid;
};

// Writes FOLDER/UID.sr.dcm, an Enhanced SR after TID 1500 (Imaging Measurement Report; PS3.16) that
// is neither complete nor verified, with the probabilities as measurements inferred from the image,
// and FOLDER/UID.sc.dcm, the overlay (a PNG) as a secondary capture of the same study; UID is the
// source's. Patient and study are copied from the source. INVALID_ARGUMENT for a source that is no
// image of a study, or an overlay that is no picture.
StatusOr<ReportedImage> WriteReport(const std::filesystem::path& source, const ImageReport& report,
                                    const std::filesystem::path& overlay,
                                    const std::filesystem::path& folder);

}  // namespace consilium
