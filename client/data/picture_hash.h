#pragma once

// What a picture looks like, in 256 bits: the same for a copy that was resized, saved again as JPEG
// or made brighter, another for another patient.

#include <array>
#include <cstdint>

#include "client/preprocess/image.h"

namespace consilium {

using PictureHash = std::array<std::uint64_t, 4>;

// The difference hash: whether each of 16 x 16 fields of the picture's centre is brighter than the
// one on its right (Krawetz 2013, of 8 x 8 there; chests are too alike for so few).
PictureHash HashPicture(const Image& image);

// In how many bits they differ, 0 to 256.
int Distance(const PictureHash& a, const PictureHash& b);

// Up to which distance two pictures are taken for one. Among 1,286 public chest X-rays the nearest
// two of different patients differ in 17 bits.
inline constexpr int kNearlyTheSame = 16;

}  // namespace consilium
