#include "client/nn/checkpoint.h"

#include <caffe2/serialize/inline_container.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

#include "client/nn/network_internal.h"
#include "client/nn/pickle_internal.h"
#include "common/base/file.h"

namespace consilium {
namespace {

constexpr char kZipStart[] = "PK\x03\x04";

StatusOr<torch::ScalarType> TypeOf(const std::string& name) {
  static const std::map<std::string, torch::ScalarType> types = {
      {"FloatStorage", torch::kFloat32},     {"F32", torch::kFloat32},
      {"DoubleStorage", torch::kFloat64},    {"F64", torch::kFloat64},
      {"HalfStorage", torch::kFloat16},      {"F16", torch::kFloat16},
      {"BFloat16Storage", torch::kBFloat16}, {"BF16", torch::kBFloat16},
      {"LongStorage", torch::kInt64},        {"I64", torch::kInt64}};
  const auto found = types.find(name);
  if (found == types.end()) return InvalidArgument("numbers of type {}", name);
  return found->second;
}

// A view of numbers in memory, as a tensor of its own in float32.
StatusOr<CheckpointTensor> Convert(const std::string& name, const std::vector<std::int64_t>& shape,
                                   const std::vector<std::int64_t>& strides, std::int64_t offset,
                                   torch::ScalarType type, std::span<const std::byte> bytes) {
  // A tensor has no more elements than there are numbers, and none beyond them; each product is
  // known to fit before it is taken.
  const auto width = static_cast<std::int64_t>(torch::elementSize(type));
  const auto numbers = static_cast<std::int64_t>(bytes.size()) / width;
  if (numbers == 0 || offset >= numbers) {
    return InvalidArgument("{} reaches beyond its numbers", name);
  }
  std::int64_t last = offset;  // the farthest number that the view reaches
  std::int64_t count = 1;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] == 0 || shape[d] > numbers / count ||
        (shape[d] > 1 && strides[d] > (numbers - 1 - last) / (shape[d] - 1))) {
      return InvalidArgument("{} reaches beyond its numbers", name);
    }
    count *= shape[d];
    last += strides[d] * (shape[d] - 1);
  }
  CheckpointTensor tensor{.name = name, .shape = shape, .values = {}};
  // LibTorch takes no pointer to const; the clone is of another memory.
  const torch::Tensor view = torch::from_blob(const_cast<std::byte*>(bytes.data()) + offset * width,
                                              shape, strides, torch::TensorOptions(type));
  const torch::Tensor flat = view.to(torch::kFloat32).contiguous();
  tensor.values.assign(flat.data_ptr<float>(), flat.data_ptr<float>() + count);
  return tensor;
}

// The dictionary that holds tensors by name.
const pickle::Dictionary* FindStateDict(const pickle::Document& document) {
  const auto* dictionary = std::get_if<pickle::Dictionary>(&document.root->is);
  if (dictionary == nullptr) return nullptr;
  for (const auto& [key, value] : dictionary->items) {
    const auto* name = std::get_if<std::string>(&key->is);
    if (name == nullptr || (*name != "state_dict" && *name != "model")) continue;
    if (const auto* inner = std::get_if<pickle::Dictionary>(&value->is)) return inner;
  }
  return dictionary;
}

StatusOr<std::vector<CheckpointTensor>> ReadPyTorch(const std::filesystem::path& path) {
  caffe2::serialize::PyTorchStreamReader archive(path.string());
  const auto [program, size] = archive.getRecord("data.pkl");
  CSL_ASSIGN_OR_RETURN(const pickle::Document document,
                       pickle::Parse({static_cast<const char*>(program.get()), size}));
  const pickle::Dictionary* state = FindStateDict(document);
  if (state == nullptr) return InvalidArgument("it holds no state dict");
  std::vector<CheckpointTensor> tensors;
  for (const auto& [key, value] : state->items) {
    const auto* name = std::get_if<std::string>(&key->is);
    const auto* tensor = std::get_if<pickle::Tensor>(&value->is);
    if (name == nullptr || tensor == nullptr) continue;  // an epoch, an optimiser's settings
    CSL_ASSIGN_OR_RETURN(const torch::ScalarType type, TypeOf(tensor->storage.type));
    const auto [numbers, bytes] = archive.getRecord("data/" + tensor->storage.key);
    CSL_ASSIGN_OR_RETURN(tensors.emplace_back(),
                         Convert(*name, tensor->shape, tensor->strides, tensor->offset, type,
                                 {static_cast<const std::byte*>(numbers.get()), bytes}));
  }
  return tensors;
}

StatusOr<std::vector<CheckpointTensor>> ReadSafetensors(std::span<const std::byte> file) {
  std::uint64_t length = 0;
  std::copy_n(file.begin(), sizeof(length), reinterpret_cast<std::byte*>(&length));
  if (length > file.size() - sizeof(length)) return InvalidArgument("its header is cut short");
  const auto text = file.subspan(sizeof(length), length);
  const auto header =
      nlohmann::json::parse(reinterpret_cast<const char*>(text.data()),
                            reinterpret_cast<const char*>(text.data()) + text.size());
  const auto data = file.subspan(sizeof(length) + length);
  std::vector<CheckpointTensor> tensors;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    CSL_ASSIGN_OR_RETURN(const torch::ScalarType type,
                         TypeOf(entry.at("dtype").get<std::string>()));
    const auto shape = entry.at("shape").get<std::vector<std::int64_t>>();
    if (std::ranges::any_of(shape, [](std::int64_t side) { return side < 0; })) {
      return InvalidArgument("{} has a negative side", name);
    }
    const auto begin = entry.at("data_offsets").at(0).get<std::uint64_t>();
    const auto end = entry.at("data_offsets").at(1).get<std::uint64_t>();
    if (begin > end || end > data.size()) return InvalidArgument("{} lies outside", name);
    std::vector<std::int64_t> strides(shape.size(), 1);
    for (std::size_t d = shape.size(); d > 1; --d) {
      const std::int64_t room = static_cast<std::int64_t>(end - begin) / strides[d - 1];
      if (shape[d - 1] > room) return InvalidArgument("{} is larger than its numbers", name);
      strides[d - 2] = std::max<std::int64_t>(strides[d - 1] * shape[d - 1], 1);
    }
    CSL_ASSIGN_OR_RETURN(tensors.emplace_back(),
                         Convert(name, shape, strides, 0, type, data.subspan(begin, end - begin)));
  }
  return tensors;
}

// Values for filters of another number of input channels.
std::vector<float> ChangeChannels(const CheckpointTensor& from, std::int64_t channels) {
  const torch::Tensor weight =
      torch::from_blob(const_cast<float*>(from.values.data()), from.shape, torch::kFloat32);
  const torch::Tensor grey = weight.sum(1, /*keepdim=*/true);
  const torch::Tensor changed = grey.expand({from.shape[0], channels, from.shape[2], from.shape[3]})
                                    .div(static_cast<double>(channels))
                                    .contiguous();
  return {changed.data_ptr<float>(), changed.data_ptr<float>() + changed.numel()};
}

// The same filters but for the channels they look at.
bool DiffersInChannels(const CheckpointTensor& from, const TensorSpec& to) {
  return from.shape.size() == 4 && to.shape.size() == 4 && from.shape[0] == to.shape[0] &&
         from.shape[2] == to.shape[2] && from.shape[3] == to.shape[3] &&
         (from.shape[1] == 3 || from.shape[1] == 1) && (to.shape[1] == 3 || to.shape[1] == 1);
}

// Whether a tensor belongs to the last dense layer.
bool IsHead(const Layout& layout, const std::string& name) {
  const std::string& last = layout.tensors().back().name;
  const std::string layer = last.substr(0, last.rfind('.') + 1);
  return name.starts_with(layer);
}

}  // namespace

StatusOr<std::vector<CheckpointTensor>> ReadCheckpoint(const std::filesystem::path& path) {
  CSL_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  const auto bytes = file.bytes();
  if (bytes.size() < sizeof(std::uint64_t)) {
    return InvalidArgument("{}: no checkpoint", path.string());
  }
  const std::string_view start(reinterpret_cast<const char*>(bytes.data()), 4);
  const bool is_zip = start == kZipStart;
  if (!is_zip && start[0] == '\x80') {
    return InvalidArgument(
        "{}: a checkpoint from before PyTorch 1.6: load and save it with a newer one",
        path.string());
  }
  // The readers of zip and JSON throw.
  auto read =
      CatchAsStatus("reading", [&] { return is_zip ? ReadPyTorch(path) : ReadSafetensors(bytes); });
  if (!read.ok())
    return InvalidArgument("{}: {}", path.string(), std::string(read.status().message()));
  if (!read->ok()) return Annotate(read->status(), path.string());
  if ((*read)->empty()) return InvalidArgument("{}: it holds no tensors", path.string());
  return **std::move(read);
}

StatusOr<Adoption> Adopt(const std::vector<CheckpointTensor>& checkpoint, Network& network) {
  std::map<std::string, const CheckpointTensor*> by_name;
  for (const CheckpointTensor& tensor : checkpoint) by_name[tensor.name] = &tensor;
  ModelState state = network.State();
  const Layout& layout = *state.layout;
  Adoption adoption;
  for (std::size_t t = 0; t < layout.tensors().size(); ++t) {
    const TensorSpec& want = layout.tensors()[t];
    const auto found = by_name.find(want.name);
    if (found == by_name.end()) {
      if (!want.name.ends_with(".num_batches_tracked") && !IsHead(layout, want.name)) {
        return InvalidArgument("the checkpoint has no '{}': is it of this architecture?",
                               want.name);
      }
      adoption.fresh.push_back(want.name);
      continue;
    }
    const CheckpointTensor& have = *found->second;
    if (have.shape == want.shape) {
      std::ranges::copy(have.values, state.tensor(t).begin());
      adoption.taken.push_back(want.name);
    } else if (IsHead(layout, want.name)) {
      adoption.fresh.push_back(want.name);
    } else if (DiffersInChannels(have, want)) {
      std::ranges::copy(ChangeChannels(have, want.shape[1]), state.tensor(t).begin());
      adoption.adapted.push_back(want.name);
    } else {
      return InvalidArgument("'{}' has shape {} in the checkpoint, want {}", want.name,
                             FormatShape(have.shape), FormatShape(want.shape));
    }
    by_name.erase(found);
  }
  for (const auto& [name, tensor] : by_name) adoption.unused.push_back(name);
  CSL_RETURN_IF_ERROR(network.Load(state));
  return adoption;
}

}  // namespace consilium
