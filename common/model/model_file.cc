#include "common/model/model_file.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>

namespace consilium {
namespace {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

static_assert(std::endian::native == std::endian::little, "model files are little-endian");

constexpr std::size_t kLengthBytes = 8;
constexpr std::size_t kMaxHeaderBytes = 4 << 20;
constexpr int kMaxDepth = 4;            // header, tensor, list
constexpr std::size_t kAlignment = 64;  // of the data, so that mapped values suit any vector load
constexpr char kMetadataKey[] = "__metadata__";
constexpr char kRolesKey[] = "roles";

struct Entry {
  TensorSpec tensor;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

StatusOr<Metadata> ParseMetadata(const Json& header) {
  Metadata metadata;
  const auto found = header.find(kMetadataKey);
  if (found == header.end()) return InvalidArgument("the file has no metadata block");
  if (!found->is_object()) return InvalidArgument("the metadata block is not an object");
  for (const auto& [key, value] : found->items()) {
    if (!value.is_string()) return InvalidArgument("metadata '{}' is not a string", key);
    metadata[key] = value.get<std::string>();
  }
  return metadata;
}

StatusOr<Entry> ParseEntry(const std::string& name, const Json& json) {
  Entry entry{.tensor = {.name = name, .shape = {}}};
  if (!json.is_object() || !json.contains("dtype") || !json.contains("shape") ||
      !json.contains("data_offsets")) {
    return InvalidArgument("tensor {}: want dtype, shape and data_offsets", name);
  }
  if (json["dtype"] != "F32") {
    return InvalidArgument("tensor {}: dtype is not F32", name);
  }
  if (!json["shape"].is_array()) return InvalidArgument("tensor {}: shape is not a list", name);
  for (const Json& dimension : json["shape"]) {
    if (!dimension.is_number_unsigned() || dimension.get<std::uint64_t>() > Layout::kMaxElements) {
      return InvalidArgument("tensor {}: a dimension is not a number in range", name);
    }
    entry.tensor.shape.push_back(dimension.get<std::int64_t>());
  }
  const Json& offsets = json["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
      !offsets[1].is_number_unsigned()) {
    return InvalidArgument("tensor {}: data_offsets is not a pair of offsets", name);
  }
  entry.begin = offsets[0].get<std::uint64_t>();
  entry.end = offsets[1].get<std::uint64_t>();
  return entry;
}

// Tensors lie one after another from 0 to the end of the data.
Status CheckOffsets(const Layout& layout, const std::vector<Entry>& entries,
                    std::size_t data_bytes) {
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const std::size_t begin = layout.offset(i) * sizeof(float);
    const std::size_t end = begin + entries[i].tensor.NumElements() * sizeof(float);
    if (entries[i].begin != begin || entries[i].end != end) {
      return InvalidArgument("tensor {}: data_offsets [{}, {}], want [{}, {}] for its shape",
                             entries[i].tensor.name, entries[i].begin, entries[i].end, begin, end);
    }
  }
  if (data_bytes != layout.size() * sizeof(float)) {
    return InvalidArgument("the file holds {} bytes of data, its header describes {}", data_bytes,
                           layout.size() * sizeof(float));
  }
  return OkStatus();
}

Status ApplyRoles(const Metadata& metadata, std::vector<Entry>& entries) {
  const auto found = metadata.find(kRolesKey);
  if (found == metadata.end()) return InvalidArgument("metadata has no '{}'", kRolesKey);
  const Json roles = Json::parse(found->second, nullptr, /*allow_exceptions=*/false);
  if (!roles.is_object()) return InvalidArgument("metadata '{}' is not a JSON object", kRolesKey);
  std::size_t given = 0;
  for (Entry& entry : entries) {
    const auto role = roles.find(entry.tensor.name);
    if (role == roles.end()) continue;
    if (!role->is_string()) return InvalidArgument("tensor {}: wrong role", entry.tensor.name);
    CSL_ASSIGN_OR_RETURN(entry.tensor.role, ParseTensorRole(role->get<std::string>()));
    ++given;
  }
  if (given != roles.size()) {
    return InvalidArgument("metadata '{}' names {} tensors that the file does not have", kRolesKey,
                           roles.size() - given);
  }
  return OkStatus();
}

// Of the JSON; none where there are not even the bytes that say it.
std::optional<std::uint64_t> HeaderLength(std::span<const std::byte> beginning) {
  if (beginning.size() < kLengthBytes) return std::nullopt;
  std::uint64_t length = 0;
  std::memcpy(&length, beginning.data(), kLengthBytes);
  return length;
}

StatusOr<Json> ParseHeaderJson(std::span<const std::byte> beginning, std::uint64_t file_bytes) {
  const auto length = HeaderLength(beginning);
  if (!length) return InvalidArgument("the file is shorter than 8 bytes");
  if (*length > kMaxHeaderBytes || *length > beginning.size() - kLengthBytes) {
    return InvalidArgument("header length {} does not fit a file of {} bytes", *length, file_bytes);
  }
  const char* text = reinterpret_cast<const char*>(beginning.data()) + kLengthBytes;
  // Deeper nesting than a header has is dropped while parsing: it may be a million levels deep.
  const auto shallow = [](int depth, Json::parse_event_t /*event*/, const Json& /*value*/) {
    return depth <= kMaxDepth;
  };
  Json header = Json::parse(text, text + *length, shallow, /*allow_exceptions=*/false);
  if (!header.is_object()) return InvalidArgument("the header is not a JSON object");
  return header;
}

}  // namespace

std::optional<std::uint64_t> ModelHeaderBytes(std::span<const std::byte> beginning) {
  const auto length = HeaderLength(beginning);
  if (!length) return std::nullopt;
  return kLengthBytes + std::min(*length, kMaxModelBytes);
}

StatusOr<ModelHeader> ParseModelHeader(std::span<const std::byte> file) {
  return ParseModelHeader(file, file.size());
}

StatusOr<ModelHeader> ParseModelHeader(std::span<const std::byte> beginning,
                                       std::uint64_t file_bytes) {
  CSL_ASSIGN_OR_RETURN(const Json json, ParseHeaderJson(beginning, file_bytes));
  CSL_ASSIGN_OR_RETURN(const Metadata metadata, ParseMetadata(json));

  std::vector<Entry> entries;
  for (const auto& [name, value] : json.items()) {
    if (name == kMetadataKey) continue;
    CSL_ASSIGN_OR_RETURN(entries.emplace_back(), ParseEntry(name, value));
  }
  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry& a, const Entry& b) { return a.begin < b.begin; });
  CSL_RETURN_IF_ERROR(ApplyRoles(metadata, entries));

  ModelHeader header;
  CSL_ASSIGN_OR_RETURN(header.info, DecodeModelInfo(metadata));
  std::vector<TensorSpec> tensors;
  tensors.reserve(entries.size());
  for (const Entry& entry : entries) tensors.push_back(entry.tensor);
  CSL_ASSIGN_OR_RETURN(header.layout, Layout::Create(std::move(tensors)));
  header.data_offset = *ModelHeaderBytes(beginning);
  if (header.data_offset % sizeof(float) != 0) {
    return InvalidArgument("the data begin at byte {}, not at a multiple of 4", header.data_offset);
  }
  CSL_RETURN_IF_ERROR(CheckOffsets(*header.layout, entries, file_bytes - header.data_offset));
  return header;
}

std::string EncodeModelHeader(const ModelInfo& info, const Layout& layout) {
  OrderedJson roles = OrderedJson::object();
  OrderedJson header = OrderedJson::object();
  header[kMetadataKey] = EncodeModelInfo(info);
  for (std::size_t i = 0; i < layout.tensors().size(); ++i) {
    const TensorSpec& tensor = layout.tensors()[i];
    const std::size_t begin = layout.offset(i) * sizeof(float);
    header[tensor.name] = {{"dtype", "F32"},
                           {"shape", tensor.shape},
                           {"data_offsets", {begin, begin + tensor.NumElements() * sizeof(float)}}};
    if (tensor.role != TensorRole::kParameter) roles[tensor.name] = TensorRoleName(tensor.role);
  }
  header[kMetadataKey][kRolesKey] = roles.dump();

  std::string text = header.dump();
  const std::size_t used = (kLengthBytes + text.size()) % kAlignment;
  if (used != 0) text.append(kAlignment - used, ' ');
  const std::uint64_t length = text.size();
  std::string bytes(kLengthBytes, '\0');
  std::memcpy(bytes.data(), &length, kLengthBytes);
  return bytes + text;
}

std::span<const float> ModelValues(const ModelHeader& header, std::span<const std::byte> file) {
  return {reinterpret_cast<const float*>(file.data() + header.data_offset), header.layout->size()};
}

StatusOr<Model> DecodeModel(std::span<const std::byte> file) {
  CSL_ASSIGN_OR_RETURN(const ModelHeader header, ParseModelHeader(file));
  const std::span<const float> values = ModelValues(header, file);
  if (!AllFinite(values)) return InvalidArgument("the model has infinite or NaN values");
  Model model{.info = header.info, .state = ModelState(header.layout)};
  std::copy(values.begin(), values.end(), model.state.values.begin());
  return model;
}

StatusOr<Model> ReadModel(const std::filesystem::path& path) {
  CSL_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  StatusOr<Model> model = DecodeModel(file.bytes());
  if (!model.ok()) return Annotate(model.status(), path.string());
  return model;
}

Status WriteModel(const std::filesystem::path& path, const ModelInfo& info,
                  const ModelState& state) {
  const std::string header = EncodeModelHeader(info, *state.layout);
  const std::span<const std::byte> parts[] = {AsBytes(header),
                                              std::as_bytes(std::span(state.values))};
  return WriteFileAtomically(path, parts);
}

std::string Describe(const ModelInfo& info, const Layout& layout) {
  std::string text =
      fmt::format("{}, {}x{}x{}, {} classes ({}), {} values", info.spec.architecture,
                  info.spec.channels, info.spec.input_size, info.spec.input_size,
                  info.spec.classes.size(), fmt::join(info.spec.classes, ", "), layout.size());
  if (!info.provenance.run.empty()) {
    text += fmt::format(", run {} round {}", info.provenance.run, info.provenance.round);
  }
  return text;
}

}  // namespace consilium
