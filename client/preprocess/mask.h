#pragma once

// Regions of a picture: lungs, opacities.

#include <filesystem>
#include <vector>

#include "client/preprocess/image.h"
#include "common/base/status.h"

namespace consilium {

// Which places of a picture, cropped and resized to side x side as CropAndResize does, are white in
// its mask: an image file of the picture's own width and height. Row-major. INVALID_ARGUMENT where
// it has another size.
StatusOr<std::vector<bool>> ReadMask(const std::filesystem::path& path, const Image& picture,
                                     int side);

}  // namespace consilium
