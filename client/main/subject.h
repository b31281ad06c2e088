#pragma once

// What predict and explain have in common: a model, and images.

#include <CLI/CLI.hpp>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "client/infer/predictor.h"
#include "common/base/status.h"

namespace consilium {

struct Subject {
  std::string dir;
  std::string model;
  std::string calibration;  // of a model file; a hospital's folder has its own
  std::vector<std::string> paths;
  PredictOptions options;
};

void AddModelOptions(CLI::App& command, Subject& subject);
void AddSubjectOptions(CLI::App& command, Subject& subject);  // images, too

// A model that can be used: of a hospital's folder if its coordinator answers for it, with what the
// hospital keeps of its own in it; or a file.
struct UsableModel {
  Model model;
  std::string digest;  // of its file
};
StatusOr<UsableModel> ReadUsableModel(const std::string& dir, const std::string& file);

// Where a hospital's folder keeps the calibration of a model.
std::filesystem::path CalibrationOf(const std::filesystem::path& dir, const std::string& digest);

// Of a model that is used; none, which is said on stderr, where a hospital has not calibrated it.
StatusOr<std::optional<Calibration>> FindCalibration(const Subject& subject,
                                                     const std::string& digest);

StatusOr<Predictor> PredictorOf(const Subject& subject);
StatusOr<std::vector<std::filesystem::path>> ImagesOf(const Subject& subject);

// For people, on stderr: what a prediction is not.
void PrintLimits();

// The error of a command that could not read some of its images.
Status CountFailures(std::size_t failures, std::size_t images);

}  // namespace consilium
