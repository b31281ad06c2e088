#pragma once

// What ReadDicom and ReadDicomFacts do, in the process that calls: for the program that decodes
// DICOM files for others, which a hostile file may bring down.

#include "client/preprocess/dicom.h"

namespace consilium {

StatusOr<Image> DecodeDicom(const std::filesystem::path& path, std::uint32_t frame,
                            const Window& window);
StatusOr<DicomFacts> DecodeDicomFacts(const std::filesystem::path& path);

}  // namespace consilium
