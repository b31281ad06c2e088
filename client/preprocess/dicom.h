#pragma once

// DICOM files: radiographs (CR, DX) and slices (CT), as a hospital's archive has them.

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "client/preprocess/image.h"
#include "common/base/status.h"

namespace consilium {

// Whether a file begins as DICOM files do: 128 bytes of anything, then "DICM" (PS3.10, 7.1).
bool IsDicom(std::span<const std::byte> file);
// The same of a file on disk; false for one that cannot be read.
bool IsDicomFile(const std::filesystem::path& path);

// A file's picture as a reader would be shown it: rescaled, through the window if one is given,
// else through the file's own first window or VOI look-up table, else from its least value to its
// greatest; MONOCHROME1 turned so that 0 is black; colour made grey; pixels that are not square
// made so. Frames count from 1; 0: the file's only one. Native, RLE, JPEG and JPEG-LS transfer
// syntaxes.
//
// INVALID_ARGUMENT naming the path for what is no whole DICOM file with a picture, for sides below
// 16 or above 16384 pixels, for a frame that is not there or is not named where there are several,
// for a transfer syntax that is not decoded, with its name, and for a file that its decoder does
// not survive or takes longer than a minute for: it is decoded by another process, consilium-dicom.
// UNAVAILABLE where that cannot be started. Many threads may read at a time.
StatusOr<Image> ReadDicom(const std::filesystem::path& path, std::uint32_t frame,
                          const Window& window);

// What else a file says that is needed here; nothing else is taken from it. Empty where it says
// nothing.
struct DicomFacts {
  std::string patient_id;  // as the archive has it: for grouping, never to be stored or shown
  std::string modality;    // "CR", "DX", "CT", …
  std::string view;        // "PA", "AP", "LL", …
  std::string study_date;  // "20200317"
  std::uint32_t frames = 1;
};
// Without reading the picture. INVALID_ARGUMENT as above.
StatusOr<DicomFacts> ReadDicomFacts(const std::filesystem::path& path);

}  // namespace consilium
