#pragma once

// What goes over the socket between whoever wants a DICOM file read and the program that decodes
// it, both of one build on one machine: numbers as they lie in memory, then what they count.

#include <chrono>
#include <cstdint>
#include <span>
#include <type_traits>

namespace consilium::dicom {

struct Question {
  std::uint32_t path_bytes = 0;     // of the path, which follows
  std::uint32_t wants_picture = 0;  // else facts
  std::uint32_t frame = 0;
  std::uint32_t seconds = 0;  // after which the program ends itself
  double window_center = 0;
  double window_width = 0;
};
struct Answer {
  std::uint32_t code = 0;  // absl's
  std::uint32_t text_bytes =
      0;  // an error's message, or "modality\nview\ndate\npatient", which follows
  std::uint32_t frames = 0;  // of the file, with facts
  std::uint32_t width = 0;   // of the picture, whose pixels follow the text
  std::uint32_t height = 0;
};
static_assert(std::is_trivially_copyable_v<Question> && std::is_trivially_copyable_v<Answer>);

inline constexpr std::uint32_t kMaxTextBytes = 64 << 10;

using Deadline = std::chrono::steady_clock::time_point;

// All of the bytes, by then; false where the other side has gone, or the time.
bool Receive(int socket, std::span<std::byte> bytes, Deadline until = Deadline::max());
bool Send(int socket, std::span<const std::byte> bytes, Deadline until = Deadline::max());

template <typename T>
std::span<std::byte> BytesOf(T& value) {
  return std::as_writable_bytes(std::span(&value, 1));
}

}  // namespace consilium::dicom
