#pragma once

// Model files: safetensors (8-byte little-endian header length, JSON header, raw little-endian
// data), float32 only, with the ModelInfo and the tensors' roles in the metadata block. No code in
// it, nothing to unpickle; Python's safetensors opens ours by name. The layout is described in
// proto/README.md.

#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "common/base/file.h"
#include "common/model/model_info.h"
#include "common/model/model_state.h"

namespace consilium {

// The largest file that the coordinator and the hospitals take from each other.
inline constexpr std::uint64_t kMaxModelBytes = std::uint64_t{8} << 30;

// What stands before the data: all that is needed to judge a file without reading its numbers.
struct ModelHeader {
  ModelInfo info;
  std::shared_ptr<const Layout> layout;
  std::size_t data_offset = 0;  // bytes from the file's start; a multiple of 4
};

// Reads the header of a whole file in memory and checks everything about it: lengths before memory
// is taken, dtypes, offsets without holes or overlaps, the file's size. INVALID_ARGUMENT names the
// first thing that is wrong.
StatusOr<ModelHeader> ParseModelHeader(std::span<const std::byte> file);
// The same of a beginning that has the header at least, of a file of so many bytes.
StatusOr<ModelHeader> ParseModelHeader(std::span<const std::byte> beginning,
                                       std::uint64_t file_bytes);
// Where the data begin in such a file; none where its beginning is too short to say. Not checked.
std::optional<std::uint64_t> ModelHeaderBytes(std::span<const std::byte> beginning);

// The header bytes for a file; the float32 data follow it.
std::string EncodeModelHeader(const ModelInfo& info, const Layout& layout);

// A file's numbers in place: valid as long as `file` is.
std::span<const float> ModelValues(const ModelHeader& header, std::span<const std::byte> file);

struct Model {
  ModelInfo info;
  ModelState state;
};

// A whole file in memory. INVALID_ARGUMENT also for values that are not finite.
StatusOr<Model> DecodeModel(std::span<const std::byte> file);
// Errors name the path.
StatusOr<Model> ReadModel(const std::filesystem::path& path);
// Whole or not at all.
Status WriteModel(const std::filesystem::path& path, const ModelInfo& info,
                  const ModelState& state);

// "resnet18, 1x128x128, 3 classes (covid, normal, pneumonia), run r1 round 4, 11170243 values".
std::string Describe(const ModelInfo& info, const Layout& layout);

}  // namespace consilium
