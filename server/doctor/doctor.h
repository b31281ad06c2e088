#pragma once

// What stands between a coordinator's folder and a federation that hospitals can reach. Changes
// nothing. (Whether everything in the folder is whole: server/check.)

#include <filesystem>
#include <vector>

#include "common/doctor/diagnosis.h"

namespace consilium {

// Codes: FEDERATION, FILE-MODE, CERTIFICATE, NAME, LISTENING, ENROLMENT, CLOCK, DISK, MEMORY,
// FILES. What rests on something that was found missing is left out.
std::vector<Diagnosis> ExamineCoordinator(const std::filesystem::path& folder);

}  // namespace consilium
