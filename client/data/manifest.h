#pragma once

// What a hospital has: images with labels, patients, and the split into training and validation.

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace consilium {

enum class Split : std::uint8_t { kNone, kTrain, kValidation, kTest };

// "train", "val", "test"; empty for none.
std::string SplitName(Split split);

struct Example {
  std::filesystem::path path;
  std::string label;
  std::string patient;  // empty: not known, so a patient of its own
  Split split = Split::kNone;
  // For breakdowns alone; empty: not known.
  std::string site;
  std::string view;
  std::string sex;
  std::string age;  // in years

  bool operator==(const Example&) const = default;
};

using Manifest = std::vector<Example>;

// The hash of a patient's id with a key that goes with this process: enough to keep a patient's
// images together, and no name. Empty for none. Thread-safe.
std::string Pseudonym(const std::string& patient_id);

// Where the data are, and how to split them where they do not say.
struct DataSource {
  std::filesystem::path path;        // a CSV, or a folder
  std::filesystem::path root;        // what a CSV's paths are relative to; empty: the CSV's folder
  std::filesystem::path validation;  // a CSV of validation examples; empty: none
  double validation_fraction = 0.2;
  std::uint64_t seed = 1;
};

// A CSV with the columns path and label, and, where it has them, patient_id, split (train, val or
// test), site, view, sex and age; others are ignored. Or a folder with a manifest.csv of that kind,
// or with one folder of PNG, JPEG and DICOM files a class, in path order: each frame of a DICOM
// file is an image, and what it says of its patient keeps that patient's images together, as a hash
// with a key that no two processes share. INVALID_ARGUMENT that names the file and line for a
// missing column, an empty path or label, an unknown split, a class folder without an image, and a
// source without any example.
StatusOr<Manifest> ReadManifest(const std::filesystem::path& path,
                                const std::filesystem::path& root = {});

// What a column says, line by line, of a CSV or of the manifest.csv in a folder. INVALID_ARGUMENT
// where there is none.
StatusOr<std::vector<std::string>> ReadColumn(const std::filesystem::path& path,
                                              const std::string& column);

// A CSV that ReadManifest reads, with absolute paths.
Status WriteManifest(const std::filesystem::path& path, const Manifest& manifest);

// Patients in an order drawn from the seed, each as the indices of its images, by the label of its
// first image. An image without a patient is a patient of its own.
using PatientGroups = std::map<std::string, std::vector<std::vector<std::size_t>>>;
PatientGroups GroupPatients(const Manifest& manifest, std::uint64_t seed);

// A source with every example's split decided: by `validation` (what `path` does not mark otherwise
// is then for training), by the split column, or by drawing patients, class by class, until
// validation_fraction of the images is reached. A patient is never in two of the splits drawn here;
// INVALID_ARGUMENT where `validation` shares one with `path`, and for a column with gaps.
StatusOr<Manifest> ReadSplitManifest(const DataSource& source);

// The examples of one split.
Manifest Select(const Manifest& manifest, Split split);

// Examples a label.
std::map<std::string, std::uint64_t> CountLabels(const Manifest& manifest);

}  // namespace consilium
