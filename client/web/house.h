#pragma once

// What the page shows of the hospital itself, beside its readings.

#include <functional>
#include <stop_token>
#include <string>

#include "common/base/status.h"

namespace consilium {

// Each gives what is so now: JSON, and of the contact sheet a PNG. They must be thread-safe. One
// that is not there is answered with 501.
struct House {
  using Telling = std::function<StatusOr<std::string>(const std::stop_token&)>;
  Telling plans;          // that the hospital was asked to train
  Telling outbox;         // all that it has sent
  Telling data;           // examples by split and class
  Telling contact_sheet;  // of the training images
  Telling training;       // who made the model in use, and how its run went
  Telling evaluation;     // of the model in use on the validation images: report, roc_svg
};

}  // namespace consilium
