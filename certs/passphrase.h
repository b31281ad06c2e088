#pragma once

// The passphrase under which a process's private keys are encrypted on the disk, and keys as they
// lie there.

#include <filesystem>
#include <string>
#include <string_view>

#include "common/base/status.h"
#include "common/crypto/key.h"

namespace consilium {

// The first line of the file that CONSILIUM_PASSPHRASE_FILE names, or else of
// $CREDENTIALS_DIRECTORY/consilium-passphrase, where systemd puts a service's credential. Empty
// where there is neither: keys are then written as they are, with mode 0600.
StatusOr<std::string> KeyPassphrase();

// A key as it is written: PEM, under the passphrase where there is one.
StatusOr<std::string> EncodeKey(const PrivateKey& key);
// The key in what was read from a file, which an error names.
StatusOr<PrivateKey> DecodeKey(std::string_view pem, const std::filesystem::path& file);

}  // namespace consilium
