#pragma once

// Cuts one set of images into hospitals, for experiments: how a federation fares with sites that
// are alike, that differ in what they see, or in how much.

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "client/data/manifest.h"

namespace consilium {

enum class PartitionKind : std::uint8_t {
  kIid,  // every site has the same share of each label
  // A share of each label of its own, drawn from Dir(alpha) (Li et al., ICDE 2022, section IV).
  kDirichlet,
  kQuantity,  // one share of all labels, drawn from Dir(alpha) (there)
};

struct PartitionOptions {
  PartitionKind kind = PartitionKind::kIid;
  int sites = 3;
  double alpha = 0.5;  // above 0; the smaller, the more the sites differ
  std::uint64_t seed = 1;
};

// The sites' parts, each in the manifest's order. A patient is of one site with all images: shares
// are met as nearly as that allows, label by label. Splits stay as they are. The same options give
// the same parts. INVALID_ARGUMENT where a site would have no image.
StatusOr<std::vector<Manifest>> Partition(const Manifest& manifest,
                                          const PartitionOptions& options);

// By what a column of the CSV (or of a folder's manifest.csv) says, one part a value.
// INVALID_ARGUMENT where an entry is empty, or a patient has two values.
StatusOr<std::map<std::string, Manifest>> PartitionByColumn(const std::filesystem::path& csv,
                                                            const std::filesystem::path& root,
                                                            const std::string& column);

}  // namespace consilium
