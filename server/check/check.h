#pragma once

// Looks a coordinator's folder over: whether all that its database speaks of is there and unharmed.

#include <filesystem>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace consilium {

struct Finding {
  bool is_error = true;  // or a warning: nothing is lost
  std::string what;      // names the run, round or file
  std::string remedy;    // what somebody can do about it
};

// Reads the whole database and every byte of every blob that a run needs. Changes nothing but what
// opening changes: an unfinished transaction is rolled back, an older database brought up to date,
// a missing folder made. Of a coordinator that is
// running it may find what is just being written. An error where there is no coordinator's folder.
StatusOr<std::vector<Finding>> CheckFolder(const std::filesystem::path& folder);

}  // namespace consilium
