#pragma once

// Describes a hospital's data before they are trained on.

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <stop_token>
#include <string>
#include <vector>

#include "client/data/manifest.h"
#include "common/base/status.h"

namespace consilium {

struct DataReport {
  Manifest manifest;  // that was checked
  std::uint64_t images = 0;
  std::uint64_t patients = 0;  // 0 where the manifest names none
  // Examples by split ("train", "val", "test") and label.
  std::map<std::string, std::map<std::string, std::uint64_t>> counts;
  std::vector<std::string> unreadable;  // one line each
  // Pictures whose pixels are the same, by their paths, and whether they lie in different splits.
  struct Duplicate {
    std::vector<std::filesystem::path> paths;
    bool across_splits = false;
  };
  std::vector<Duplicate> duplicates;
  // Pairs that look the same and are not the same picture, but for one patient's in one split; at
  // most a thousand. Whether they are one image is for a person to say.
  std::vector<Duplicate> near_duplicates;
  std::uint64_t lateral = 0;  // images that the manifest or the file calls a lateral view
  std::vector<std::string> patients_in_two_splits;
  int smallest_side = 0;
  int largest_side = 0;
  // Pictures in which there seems to be a line of text (burned_text.h).
  std::vector<std::filesystem::path> with_text;
  // Patients by label, images by view and by source, as far as the manifest tells.
  std::map<std::string, std::uint64_t> patients_by_label;
  std::map<std::string, std::uint64_t> views;
  std::map<std::string, std::uint64_t> sources;
  std::map<int, std::uint64_t> shorter_sides;  // readable images, by the side rounded down to 64
  // Shares of the pixels in each sixteenth from black to white, by label; each sums to 1.
  static constexpr std::size_t kBrightnesses = 16;
  std::map<std::string, std::array<double, kBrightnesses>> brightness;

  // Whether training on them would be sound: all readable, no leak between splits.
  bool IsSound() const;
};

// Reads every image once.
StatusOr<DataReport> CheckData(
    const DataSource& source, const std::stop_token& stop,
    const std::function<void(std::size_t done, std::size_t of)>& on_image);

}  // namespace consilium
