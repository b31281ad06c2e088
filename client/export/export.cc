#include "client/export/export.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <sstream>

#include "client/export/formats_internal.h"
#include "common/base/file.h"

namespace consilium {
namespace {

// In the order of ExportFormat.
constexpr std::array<const char*, 3> kNames = {"onnx", "torchscript", "safetensors"};

StatusOr<std::string> ToTorchScript(const torch::jit::Module& traced, const std::string& text) {
  std::ostringstream out;
  traced.save(out, {{"consilium.json", text}});
  return std::move(out).str();
}

// What Python's safetensors writes: a header of JSON, then the numbers.
std::string ToSafetensors(const Model& model, const std::string& text) {
  nlohmann::ordered_json header;
  header["__metadata__"] = {{"format", "pt"}, {"consilium", text}};
  std::size_t offset = 0;
  for (const TensorSpec& tensor : model.state.layout->tensors()) {
    const std::size_t end = offset + tensor.NumElements() * sizeof(float);
    header[tensor.name] = {
        {"dtype", "F32"}, {"shape", tensor.shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string head = header.dump();
  head.resize((head.size() + 7) / 8 * 8, ' ');
  std::string file;
  for (int byte = 0; byte < 8; ++byte) {
    file += static_cast<char>(head.size() >> (8 * byte) & 0xff);
  }
  file += head;
  const auto values = std::as_bytes(std::span(model.state.values));
  file.append(reinterpret_cast<const char*>(values.data()), values.size());
  return file;
}

StatusOr<std::string> Encode(const Model& model, ExportFormat format) {
  const std::string text = Preprocessing(model.info);
  if (format == ExportFormat::kSafetensors) return ToSafetensors(model, text);
  CSL_ASSIGN_OR_RETURN(Network network, Network::Create(model.info.spec, /*seed=*/0));
  CSL_RETURN_IF_ERROR(network.Load(model.state));
  const torch::jit::Module traced = Trace(network);
  return format == ExportFormat::kOnnx ? ToOnnx(traced, model.info.spec, text)
                                       : ToTorchScript(traced, text);
}

}  // namespace

StatusOr<ExportFormat> ParseExportFormat(const std::string& name) {
  const auto found = std::ranges::find(kNames, name);
  if (found == kNames.end()) {
    return InvalidArgument("no format '{}'; there are {}", name, fmt::join(kNames, ", "));
  }
  return static_cast<ExportFormat>(found - kNames.begin());
}

std::string Preprocessing(const ModelInfo& info) {
  const ModelSpec& spec = info.spec;
  const nlohmann::ordered_json json = {
      {"classes", spec.classes},
      {"architecture", spec.architecture},
      {"input_size", spec.input_size},
      {"channels", spec.channels},
      {"mean", spec.mean},
      {"stddev", spec.stddev},
      {"picture",
       "largest centred square, resized (area mean down, cubic up); intensities 0 to 1, "
       "then (x - mean) / stddev, the same in each channel"},
      {"window_center", spec.window_center},
      {"window_width", spec.window_width},
      {"scores", "before the softmax"},
      {"run", info.provenance.run},
      {"round", info.provenance.round},
      {"limits", "Research use only; not a medical device."}};
  return json.dump();
}

Status ExportModel(const Model& model, ExportFormat format, const std::filesystem::path& path) {
  const auto encoded = CatchAsStatus("exporting", [&] { return Encode(model, format); });
  CSL_RETURN_IF_ERROR(encoded.status());
  CSL_RETURN_IF_ERROR(encoded->status());
  return WriteFileAtomically(path, **encoded);
}

}  // namespace consilium
