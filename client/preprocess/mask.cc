#include "client/preprocess/mask.h"

namespace consilium {

StatusOr<std::vector<bool>> ReadMask(const std::filesystem::path& path, const Image& picture,
                                     int side) {
  constexpr std::uint16_t kHalf = 32768;
  CSL_ASSIGN_OR_RETURN(const Image mask, ReadImage(path));
  if (mask.width != picture.width || mask.height != picture.height) {
    return InvalidArgument("{}: {} x {} pixels, its picture has {} x {}", path.string(), mask.width,
                           mask.height, picture.width, picture.height);
  }
  std::vector<bool> white;
  for (const std::uint16_t value : CropAndResize(mask, side).pixels) {
    white.push_back(value >= kHalf);
  }
  return white;
}

}  // namespace consilium
