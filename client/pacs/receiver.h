#pragma once

// A DICOM receiver (Storage SCP and Verification SCP; DICOM PS3.4, annexes A and B): what a PACS or
// a modality sends is written into a folder.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace consilium {

struct ReceiverOptions {
  std::uint16_t port = 11112;
  std::string ae_title = "CONSILIUM";  // that senders must call; 1 to 16 characters
  std::vector<std::string> senders;    // the AE titles that are answered; none other is
  std::filesystem::path folder;        // gets UID.dcm for each object, whole or not at all
  std::uint16_t max_associations = 8;  // at a time; others are rejected for the moment
};

// Receives CR, DX, CT and secondary capture images until stopped, in the transfer syntaxes that
// consilium-dicom decodes. An object that comes again takes the former one's place. What breaks off
// leaves nothing behind. INVALID_ARGUMENT for an AE title that is none, or no sender;
// FAILED_PRECONDITION where the port is taken.
Status Receive(const ReceiverOptions& options, const std::stop_token& stop,
               const std::function<void()>& on_ready);

}  // namespace consilium
