#pragma once

// Which roles may make which call: the table in access.cc, and nothing else, says so.

#include <string_view>

#include "certs/identity.h"

namespace consilium {

// Whether the role may make the call, "BlobService/Upload". What has no row is nobody's.
bool MayCall(Role role, std::string_view rpc);

// Whether the call needs no certificate.
bool IsOpenToAll(std::string_view rpc);

}  // namespace consilium
