#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace consilium {

// JSON as text; on one line where indent is below 0. A file's name need not be UTF-8, which JSON
// must be: what is not shows as U+FFFD.
inline std::string ToText(const nlohmann::ordered_json& json, int indent = -1) {
  return json.dump(indent, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace consilium
