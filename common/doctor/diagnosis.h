#pragma once

// What a doctor finds: one line a subject, good or bad, with what to do about it.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace consilium {

enum class Level { kOk, kWarning, kError };

struct Diagnosis {
  Level level = Level::kOk;
  std::string code;   // "CLOCK-SKEW": stable, for programs
  std::string cause;  // what was found
  std::string fix;    // what to do; empty where all is well
};

Diagnosis Fine(std::string code, std::string cause);
Diagnosis Warning(std::string code, std::string cause, std::string fix);
Diagnosis Error(std::string code, std::string cause, std::string fix);

// "ok       CLOCK-SKEW       0.1 s" a line, and below a bad one its fix.
std::string DiagnosesToText(const std::vector<Diagnosis>& diagnoses);
nlohmann::ordered_json DiagnosesToJson(const std::vector<Diagnosis>& diagnoses);

// Prints them, and fails with FAILED_PRECONDITION where there is an error among them.
Status PrintDiagnoses(const std::vector<Diagnosis>& diagnoses, bool json);

}  // namespace consilium
