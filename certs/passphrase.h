#pragma once

// The passphrase under which a process's private keys are encrypted on the disk.

#include <string>

#include "common/base/status.h"

namespace consilium {

// The first line of the file that CONSILIUM_PASSPHRASE_FILE names, or else of
// $CREDENTIALS_DIRECTORY/consilium-passphrase, where systemd puts a service's credential. Empty
// where there is neither: keys are then written as they are, with mode 0600.
StatusOr<std::string> KeyPassphrase();

}  // namespace consilium
