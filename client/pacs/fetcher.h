#pragma once

// Asks a PACS for studies and gets their images (Query/Retrieve SCU, study root: C-FIND and C-GET;
// DICOM PS3.4, annex C), so that nothing has to call this machine.

#include <filesystem>
#include <stop_token>
#include <string>
#include <vector>

#include "client/pacs/sender.h"
#include "common/base/status.h"

namespace consilium {

// Which studies; empty: any, but not all three. As DICOM writes them, with its wildcards and
// ranges.
struct StudyQuery {
  std::string patient_id;
  std::string study_date;  // "20260301" or "20260301-20260331"
  std::string modality;    // of one of the study's series
};

struct FetchedStudy {
  std::string study_uid;
  std::string study_date;
  std::size_t images = 0;
  // Objects that were not given: no images that are read here, or failures.
  std::size_t missing = 0;
};

// Writes UID.dcm into the folder for each image of each study that the PACS finds, whole or not at
// all; one that is there is replaced. INVALID_ARGUMENT for an AE title that is none, a query for
// everything, and more than 10,000 studies; UNAVAILABLE where the PACS cannot be reached, refuses,
// or breaks off. CANCELLED when stopped, after the study that it is at.
StatusOr<std::vector<FetchedStudy>> FetchStudies(const Peer& pacs, const std::string& own_ae_title,
                                                 const StudyQuery& query,
                                                 const std::filesystem::path& folder,
                                                 const std::stop_token& stop);

}  // namespace consilium
