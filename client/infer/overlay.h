#pragma once

// A picture with a map over it, for people.

#include <filesystem>
#include <span>
#include <string>

#include "client/preprocess/image.h"
#include "common/base/status.h"

namespace consilium {

// Writes a PNG of the picture's largest centred square with the map over it, map_side x map_side
// values from 0 to 1, and a scale beside it. The colours (cividis; Nuñez et al., PLOS ONE 2018) are
// told apart by people with any colour vision, and in print; where the map is 0 the picture is as
// it was. Readable by its owner alone: it is a patient's picture.
Status WriteOverlay(const std::filesystem::path& path, const Image& picture,
                    std::span<const float> map, int map_side);

// The same for a browser, as the bytes of two PNGs of one size: the square as it is, 8 bits grey;
// and the map alone, in its colours, the more opaque the greater it is.
StatusOr<std::string> EncodeSquare(const Image& picture);
StatusOr<std::string> EncodeMap(const Image& picture, std::span<const float> map, int map_side);

}  // namespace consilium
