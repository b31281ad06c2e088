#pragma once

// A FHIR server that results are handed to.

#include <filesystem>
#include <string>

#include "common/base/status.h"

namespace consilium {

// Whom to post to, and as whom.
struct FhirServer {
  std::string url;                   // "https://fhir.example/R4"; empty: nobody
  std::filesystem::path token_file;  // of a bearer token, read at each call; empty: none
};

// INVALID_ARGUMENT for what is no http or https URL; and for http with a token, or to another host
// than this one: patients' data go there.
Status CheckFhirServer(const FhirServer& server);

// Posts a Bundle. INVALID_ARGUMENT where the server refuses it for what it is; UNAVAILABLE where it
// cannot be reached, cannot be trusted (its certificate is checked against the system's
// authorities) or does not take it now, with the status. An answer of more than 64 KiB or a minute
// is cut off.
Status PostFhir(const FhirServer& server, const std::string& bundle);

}  // namespace consilium
