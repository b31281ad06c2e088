#pragma once

// What stands between a hospital's folder and its part in a federation: identity, network, machine,
// data. Changes nothing and sends nothing but a call that asks for nothing.

#include <filesystem>
#include <stop_token>
#include <vector>

#include "common/doctor/diagnosis.h"

namespace consilium {

// Codes: IDENTITY, FILE-MODE, CERTIFICATE, SETTINGS, NAME, PROXY, REACHABLE, TLS, COORDINATOR,
// CLOCK-SKEW, DISK, MEMORY, DEVICE, THREADS, BLAS, DATA, BALANCE. What rests on something that was
// found missing is left out. Takes as long as reading every image once.
std::vector<Diagnosis> ExamineHospital(const std::filesystem::path& folder,
                                       const std::stop_token& stop);

}  // namespace consilium
