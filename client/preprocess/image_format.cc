#include "client/preprocess/image_format.h"

#include <algorithm>
#include <cstdint>
#include <string_view>

namespace consilium {
namespace {

constexpr std::string_view kPngStart = "\x89PNG\r\n\x1a\n";
constexpr std::string_view kJpegStart = "\xff\xd8\xff";

unsigned char ByteAt(std::string_view file, std::size_t at) {
  return static_cast<unsigned char>(file[at]);
}

std::uint32_t BigEndian(std::string_view file, std::size_t at, std::size_t bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < bytes; ++i) value = value << 8 | ByteAt(file, at + i);
  return value;
}

// Chunks of a length, a type, as many bytes, and a checksum, up to IEND (PNG specification, 5.3).
bool IsWholePng(std::string_view file) {
  constexpr std::size_t kLengthAndType = 8;
  constexpr std::size_t kChecksum = 4;
  for (std::size_t at = kPngStart.size(); file.size() - at >= kLengthAndType + kChecksum;) {
    const std::size_t length = BigEndian(file, at, 4);
    if (length > file.size() - at - kLengthAndType - kChecksum) return false;
    if (file.substr(at + 4, 4) == "IEND") return true;
    at += kLengthAndType + length + kChecksum;
  }
  return false;
}

// Markers of FF and a type: segments with a length, or the end of the image. Between them lies
// coded data, in which FF is followed by 0 or a restart marker (ITU-T T.81, annex B). The frame's
// header, C0 to CF but for three, has precision, height and width behind its length.
bool WalkJpeg(std::string_view file, Sides& sides) {
  constexpr unsigned char kEndOfImage = 0xd9;
  const auto has_length = [](unsigned char type) {
    return type >= 0xc0 && type != 0xff && !(type >= 0xd0 && type <= 0xd9);
  };
  std::size_t at = 2;
  while (true) {
    at = file.find('\xff', at);
    if (at == std::string_view::npos || file.size() - at < 2) return false;
    const unsigned char type = ByteAt(file, at + 1);
    if (type == kEndOfImage) return true;
    if (!has_length(type)) {
      at += type == 0xff ? 1 : 2;
      continue;
    }
    if (file.size() - at < 4) return false;
    const bool is_frame = type <= 0xcf && type != 0xc4 && type != 0xc8 && type != 0xcc;
    if (is_frame && file.size() - at >= 9) {
      // Of several, which no picture has, the largest: a decoder may take any.
      sides = {.width = std::max(sides.width, BigEndian(file, at + 7, 2)),
               .height = std::max(sides.height, BigEndian(file, at + 5, 2))};
    }
    at += 2 + BigEndian(file, at + 2, 2);
    if (at > file.size()) return false;
  }
}

}  // namespace

bool IsWholePngOrJpeg(std::span<const std::byte> bytes) {
  const std::string_view file(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (file.starts_with(kPngStart)) return IsWholePng(file);
  Sides unused;
  return file.starts_with(kJpegStart) && WalkJpeg(file, unused);
}

Sides SidesOf(std::span<const std::byte> bytes) {
  const std::string_view file(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  Sides sides;
  if (file.starts_with(kPngStart)) {
    constexpr std::size_t kWidth = 16;  // behind the first chunk's length and type, IHDR
    if (file.size() >= kWidth + 8 && file.substr(12, 4) == "IHDR") {
      sides = {.width = BigEndian(file, kWidth, 4), .height = BigEndian(file, kWidth + 4, 4)};
    }
  } else if (file.starts_with(kJpegStart)) {
    (void)WalkJpeg(file, sides);
  }
  return sides;
}

}  // namespace consilium
