#pragma once

#include <string>

namespace consilium {

// Whether a host is this machine itself: "localhost", "::1" or an address of 127.0.0.0/8. A name
// that only begins like one is not.
bool IsLoopback(const std::string& host);

}  // namespace consilium
