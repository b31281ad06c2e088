#pragma once

// The fuzzers' input: bytes from outside.

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace consilium::fuzz {

inline std::string_view AsText(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// A folder of this process in memory, where a sync costs nothing. Removed when the process ends.
class ScratchFolder {
 public:
  ScratchFolder() { std::filesystem::create_directories(path_); }
  ~ScratchFolder() { std::filesystem::remove_all(path_); }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  const std::filesystem::path path_ = "/dev/shm/consilium-fuzz-" + std::to_string(::getpid());
};

// A broken promise of the code under test, which is not one of the errors that it may give.
inline void Require(bool promise) {
  if (!promise) __builtin_trap();
}

}  // namespace consilium::fuzz
