#include "common/encoding/update_encoding.h"

#include <array>
#include <utility>

namespace consilium {
namespace {

constexpr std::array<std::pair<UpdateEncoding, std::string_view>, 4> kNames = {{
    {UpdateEncoding::kFloat32, "float32"},
    {UpdateEncoding::kBfloat16, "bfloat16"},
    {UpdateEncoding::kInt8, "int8"},
    {UpdateEncoding::kTopK, "top_k"},
}};

}  // namespace

std::string_view UpdateEncodingName(UpdateEncoding encoding) {
  return kNames[static_cast<std::size_t>(encoding)].second;
}

StatusOr<UpdateEncoding> ParseUpdateEncoding(const std::string& name) {
  if (name.empty()) return UpdateEncoding::kFloat32;
  for (const auto& [encoding, known] : kNames) {
    if (name == known) return encoding;
  }
  return InvalidArgument(
      "an update's encoding is '{}', want float32, bfloat16, int8 "
      "or top_k",
      name);
}

}  // namespace consilium
