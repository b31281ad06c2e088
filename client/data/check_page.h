#pragma once

// What `data check` found, as a page for people.

#include <string>

#include "client/data/check.h"
#include "common/base/status.h"

namespace consilium {

// A page that stands alone: tables, plots, a contact sheet. Without `names` nothing in it tells who
// a picture is of: no paths, no picture that seems to have text in it, and no group of fewer than
// five patients or images.
StatusOr<std::string> ToPage(const DataReport& report, bool names);

}  // namespace consilium
