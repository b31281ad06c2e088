#pragma once

// What both doctors look at: the machine, its files, its way to a name.

#include <cstdint>
#include <filesystem>
#include <string>

#include "common/base/clock.h"
#include "common/crypto/certificate.h"
#include "common/doctor/diagnosis.h"

namespace consilium {

// DISK: room for files below a folder.
Diagnosis DiagnoseDisk(const std::filesystem::path& folder);
// MEMORY: what the machine has left.
Diagnosis DiagnoseMemory();
// FILE-MODE: a secret that nobody but its owner may read, in a folder that can be written.
Diagnosis DiagnoseSecret(const std::filesystem::path& file);
// CERTIFICATE: how long it is valid yet. `renewal` says how to get another.
Diagnosis DiagnoseCertificate(const std::string& whose, const Certificate& certificate,
                              TimePoint now, const std::string& renewal);
// CLOCK: whether the kernel says that something keeps its clock right.
Diagnosis DiagnoseClock();
// NAME: what a host's name resolves to.
Diagnosis DiagnoseName(const std::string& host);
// REACHABLE: whether something takes connections at HOST:PORT; within five seconds for each of its
// addresses.
Status ConnectTo(const std::string& host, int port);
// PROXY: whether the environment sends gRPC's calls to that host through one.
Diagnosis DiagnoseProxy(const std::string& host);

// The parts of "HOST:PORT" or "[ADDRESS]:PORT"; a port of 0 where there is none.
std::pair<std::string, int> SplitEndpoint(const std::string& endpoint);

}  // namespace consilium
