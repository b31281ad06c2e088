#pragma once

// Public sets of chest images in the layouts that their authors gave them, as manifests.

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "client/data/manifest.h"
#include "common/base/status.h"

namespace consilium {

// The layouts, and what `path` is of each:
//   ieee8023     metadata.csv of covid-chestxray-dataset; frontal X-rays alone
//   covidx       a text list of COVIDx: patient, file, class, source
//   radiography  the folder of the COVID-19 Radiography Database
//   rsna         stage_2_detailed_class_info.csv of RSNA's pneumonia challenge
std::vector<std::string> PublicLayouts();

struct PublicSet {
  Manifest manifest;                              // labels covid, pneumonia, normal
  std::map<std::string, std::uint64_t> left_out;  // rows, by why
};

// What of a set can be used here. `images` is the folder of the image files; empty: where the set's
// authors have it. Files are not opened. A patient's id becomes a hash with `key`: the same key
// gives the same hash, without it nobody finds the id. INVALID_ARGUMENT for an unknown layout, a
// missing column, and a line that has not what its layout says; NOT_FOUND.
StatusOr<PublicSet> ReadPublicSet(const std::string& layout, const std::filesystem::path& path,
                                  const std::filesystem::path& images, const std::string& key);

}  // namespace consilium
