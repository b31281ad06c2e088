#pragma once

// PNG and JPEG files seen from outside, before a decoder gets them.

#include <cstddef>
#include <cstdint>
#include <span>

namespace consilium {

// Whether the bytes are a PNG or a JPEG from its first bytes to its end mark. Looks at the chunks
// or segments, not at the pixels. OpenCV would open other formats too, whatever the file's name,
// and fills what is missing of a cut JPEG with grey.
bool IsWholePngOrJpeg(std::span<const std::byte> file);

// What such a file says of its sides, before memory is taken for them; 0 and 0 where it does not.
struct Sides {
  std::uint32_t width = 0;
  std::uint32_t height = 0;
};
Sides SidesOf(std::span<const std::byte> file);

}  // namespace consilium
