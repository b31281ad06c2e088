#include "client/data/picture_hash.h"

#include <bit>

namespace consilium {

PictureHash HashPicture(const Image& image) {
  constexpr int kFields = 16;
  const Image small = CropAndResize(image, kFields + 1);
  PictureHash hash{};
  for (int y = 0; y < kFields; ++y) {
    for (int x = 0; x < kFields; ++x) {
      const auto at = static_cast<std::size_t>(y * (kFields + 1) + x);
      const auto bit = static_cast<std::size_t>(y * kFields + x);
      if (small.pixels[at] > small.pixels[at + 1]) {
        hash[bit / 64] |= std::uint64_t{1} << (bit % 64);
      }
    }
  }
  return hash;
}

int Distance(const PictureHash& a, const PictureHash& b) {
  int bits = 0;
  for (std::size_t i = 0; i < a.size(); ++i) bits += std::popcount(a[i] ^ b[i]);
  return bits;
}

}  // namespace consilium
