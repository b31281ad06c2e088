#pragma once

// YAML files that fill a protobuf message: the file's keys are the message's field names. What the
// file does not mention keeps the value it has in the message, so defaults are set before.

#include <string>
#include <string_view>

#include "common/base/status.h"

namespace google::protobuf {
class Message;
}

namespace consilium {

// INVALID_ARGUMENT, "FILE:LINE: reason", for YAML that is none, an unknown or repeated field (with
// the known ones), and a value of the wrong type or out of range. The message is then half filled:
// drop it.
Status MergeYaml(std::string_view file, const std::string& text,
                 google::protobuf::Message* message);

}  // namespace consilium
