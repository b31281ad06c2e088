#pragma once

// Which version of the wire a build speaks, and how either end of a call says so: in the metadata
// of every call and of its answer. A caller that says nothing is of version 1.0, which was before
// this.

#include <string>
#include <string_view>

#include "common/base/status.h"

namespace consilium {

// Raised where an older peer could not go on. (A minor version only adds what it may ignore.)
inline constexpr int kProtocolMajor = 1;
inline constexpr int kProtocolMinor = 4;

inline constexpr char kProtocolKey[] = "consilium-protocol";
inline constexpr char kSoftwareKey[] = "consilium-software";
inline constexpr char kTimeKey[] = "consilium-time";  // of an answer: milliseconds since 1970

// "1.4"
std::string ProtocolVersion();
// This build: "0.3.0".
std::string_view SoftwareVersion();

// FAILED_PRECONDITION, saying who must install what, unless a caller of that version and build can
// be served: its major version is this one's.
Status CheckCallerProtocol(std::string_view version, std::string_view software);

}  // namespace consilium
