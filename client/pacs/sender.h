#pragma once

// A DICOM sender (Storage SCU): hands results to a PACS.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace consilium {

struct Peer {
  std::string ae_title;
  std::string host;
  std::uint16_t port = 0;
};

// "ORTHANC@127.0.0.1:4242". INVALID_ARGUMENT for what is none.
StatusOr<Peer> ParsePeer(const std::string& text);

// In one association. UNAVAILABLE where the peer cannot be reached or does not take them all.
Status SendFiles(const Peer& peer, const std::string& own_ae_title,
                 const std::vector<std::filesystem::path>& files);

}  // namespace consilium
