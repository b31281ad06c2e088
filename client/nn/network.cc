#include "client/nn/network.h"

#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <torch/version.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <thread>

#include "client/nn/network_internal.h"

namespace consilium {
namespace {

using Factory = std::function<std::shared_ptr<Classifier>(const ModelSpec&)>;

const std::map<std::string, Factory>& Factories() {
  static const auto* factories = new std::map<std::string, Factory>{
      {"simple_cnn", MakeSimpleCnn},
      {"resnet18", [](const ModelSpec& spec) { return MakeResNet18(spec, false); }},
      {"resnet18_gn", [](const ModelSpec& spec) { return MakeResNet18(spec, true); }},
      {"resnet50", [](const ModelSpec& spec) { return MakeResNet50(spec, false); }},
      {"resnet50_gn", [](const ModelSpec& spec) { return MakeResNet50(spec, true); }},
      {"densenet121", MakeDenseNet121},
      {"mobilenet_v3_small", MakeMobileNetV3Small},
      {"unet", MakeUnet},
      {"vgg16", [](const ModelSpec& spec) { return MakeVgg16(spec, false); }},
      {"vgg16_bn", [](const ModelSpec& spec) { return MakeVgg16(spec, true); }},
  };
  return *factories;
}

// He's normal initialisation for a rectifier that follows, by the layer's fan-out.
void InitialiseConvolution(torch::nn::Conv2dImpl& conv, at::Generator& generator) {
  const auto shape = conv.weight.sizes();
  const double fan_out = static_cast<double>(shape[0] * shape[2] * shape[3]);
  conv.weight.normal_(0, std::sqrt(2.0 / fan_out), generator);
  if (conv.bias.defined()) conv.bias.zero_();
}

void InitialiseDense(torch::nn::LinearImpl& dense, at::Generator& generator) {
  const double bound = 1.0 / std::sqrt(static_cast<double>(dense.weight.size(1)));
  dense.weight.uniform_(-bound, bound, generator);
  dense.bias.uniform_(-bound, bound, generator);
}

// Norms begin at scale 1 and shift 0 as LibTorch makes them.
void InitialiseWeights(Classifier& module, std::uint64_t seed) {
  const torch::NoGradGuard no_grad;
  at::Generator generator = at::detail::createCPUGenerator(seed);
  for (const auto& child : module.modules(/*include_self=*/false)) {
    if (auto* conv = child->as<torch::nn::Conv2d>()) InitialiseConvolution(*conv, generator);
    if (auto* dense = child->as<torch::nn::Linear>()) InitialiseDense(*dense, generator);
  }
}

TensorRole RoleOfBuffer(const std::string& name) {
  return name == "num_batches_tracked" ? TensorRole::kCounter : TensorRole::kBuffer;
}

bool IsNorm(const torch::nn::Module& module) {
  return module.as<torch::nn::BatchNorm2d>() != nullptr ||
         module.as<torch::nn::GroupNorm>() != nullptr;
}

// Which of the names in `local` speak of a module's tensors are taken out of `unused`.
bool IsLocal(const std::string& path, const torch::nn::Module& module,
             const std::vector<std::string>& local, std::set<std::string>& unused) {
  bool is_local = false;
  for (const std::string& name : local) {
    const bool names_it = name == "norm" ? IsNorm(module) : (path + ".").starts_with(name + ".");
    if (!names_it) continue;
    is_local = true;
    unused.erase(name);
  }
  return is_local;
}

// Walks the modules as PyTorch's state_dict does: a module's parameters, its buffers, its children.
StatusOr<std::shared_ptr<const Layout>> CollectTensors(const Classifier& module,
                                                       const std::vector<std::string>& local,
                                                       std::vector<torch::Tensor>& tensors) {
  std::vector<TensorSpec> specs;
  std::set<std::string> unused(local.begin(), local.end());
  const auto add = [&](const std::string& prefix, const std::string& name,
                       const torch::Tensor& tensor, TensorRole role, bool is_local) {
    specs.push_back({.name = prefix.empty() ? name : prefix + "." + name,
                     .shape = tensor.sizes().vec(),
                     .role = is_local ? TensorRole::kLocal : role});
    tensors.push_back(tensor);
  };
  for (const auto& item : module.named_modules()) {
    const bool is_local = IsLocal(item.key(), *item.value(), local, unused);
    for (const auto& parameter : item.value()->named_parameters(/*recurse=*/false)) {
      add(item.key(), parameter.key(), parameter.value(), TensorRole::kParameter, is_local);
    }
    for (const auto& buffer : item.value()->named_buffers(/*recurse=*/false)) {
      add(item.key(), buffer.key(), buffer.value(), RoleOfBuffer(buffer.key()), is_local);
    }
  }
  if (!unused.empty()) {
    return InvalidArgument("local_tensors: this network has none called '{}'", *unused.begin());
  }
  return Layout::Create(std::move(specs));
}

}  // namespace

std::vector<std::string> Architectures() {
  std::vector<std::string> names;
  for (const auto& [name, factory] : Factories()) names.push_back(name);
  return names;
}

StatusOr<Network> Network::Create(const ModelSpec& spec, std::uint64_t seed) {
  CSL_RETURN_IF_ERROR(CheckModelSpec(spec));
  const auto factory = Factories().find(spec.architecture);
  if (factory == Factories().end()) {
    return InvalidArgument("architecture '{}' is not one this client builds (known: {})",
                           spec.architecture, fmt::join(Architectures(), ", "));
  }
  auto impl = std::make_unique<Impl>();
  impl->spec = spec;
  const auto built = CatchAsStatus("building " + spec.architecture, [&] {
    impl->module = factory->second(spec);
    InitialiseWeights(*impl->module, seed);
    impl->module->to(torch::kFloat32);
    return true;
  });
  CSL_RETURN_IF_ERROR(built);
  CSL_ASSIGN_OR_RETURN(impl->layout,
                       CollectTensors(*impl->module, spec.local_tensors, impl->tensors));
  Network network(std::move(impl));
  CSL_RETURN_IF_ERROR(network.MoveTo("cpu"));
  return network;
}

Network::Network(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Network::Network(Network&&) noexcept = default;
Network& Network::operator=(Network&&) noexcept = default;
Network::~Network() = default;

const ModelSpec& Network::spec() const { return impl_->spec; }
const std::shared_ptr<const Layout>& Network::layout() const { return impl_->layout; }

ModelState Network::State() const {
  const torch::NoGradGuard no_grad;
  ModelState state(impl_->layout);
  for (std::size_t i = 0; i < impl_->tensors.size(); ++i) {
    const torch::Tensor& tensor = impl_->tensors[i];
    const std::span<float> values = state.tensor(i);
    torch::from_blob(values.data(), tensor.sizes(), torch::kFloat32).copy_(tensor);
  }
  return state;
}

Status Network::Load(const ModelState& state) {
  CSL_RETURN_IF_ERROR(CheckSameLayout(*impl_->layout, *state.layout));
  const torch::NoGradGuard no_grad;
  for (std::size_t i = 0; i < impl_->tensors.size(); ++i) {
    const std::span<const float> values = state.tensor(i);
    // LibTorch takes no pointer to const; copy_ only reads it.
    impl_->tensors[i].copy_(torch::from_blob(const_cast<float*>(values.data()),
                                             impl_->tensors[i].sizes(), torch::kFloat32));
  }
  return OkStatus();
}

Status Network::MoveTo(const std::string& device) {
  const bool cuda = device != "cpu";
  if (cuda && !torch::cuda::is_available()) {
    return FailedPrecondition("device is 'cuda', but this LibTorch finds no CUDA device");
  }
  const auto gpus = static_cast<int>(torch::cuda::device_count());
  if (cuda && torch::Device(device).index() >= gpus) {
    return FailedPrecondition("the device is '{}', but this machine has {} GPUs", device, gpus);
  }
  const auto moved = CatchAsStatus("moving the network to " + device, [&] {
    const torch::NoGradGuard no_grad;
    impl_->device = torch::Device(device);
    impl_->mixed_precision = cuda;
    for (torch::Tensor& tensor : impl_->tensors) {
      // Convolution weights lie as their images do: channels last.
      const auto format =
          tensor.dim() == 4 ? torch::MemoryFormat::ChannelsLast : torch::MemoryFormat::Contiguous;
      tensor.set_data(tensor.to(impl_->device).contiguous(format));
    }
    return true;
  });
  return moved.status();
}

void Network::UseMixedPrecision(bool on) { impl_->mixed_precision = on; }

bool CpuHasBfloat16() {
#ifdef __x86_64__
  return __builtin_cpu_supports("avx512bf16") != 0;
#else
  return false;
#endif
}

std::string ResolveDevice(const std::string& setting) {
  if (setting != "auto") return setting;
  return torch::cuda::is_available() ? "cuda" : "cpu";
}

void SetThreads(int threads) {
  const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  at::set_num_threads(threads > 0 ? threads : cores);
}

Blas FindBlas() {
  Dl_info found{};
  void* sgemm = ::dlsym(RTLD_DEFAULT, "sgemm_");
  if (sgemm == nullptr || ::dladdr(sgemm, &found) == 0) return {.file = "built in"};
  std::error_code error;
  std::string file = std::filesystem::canonical(found.dli_fname, error).string();
  const bool is_slow = file.find("/blas/libblas") != std::string::npos;  // where Debian has it
  return {std::move(file), is_slow};
}

std::string DescribeLibTorch() {
  const Blas blas = FindBlas();
  return fmt::format(
      "LibTorch {}, {} threads, {}\nBLAS {}{}", TORCH_VERSION, at::get_num_threads(),
      torch::cuda::is_available() ? "CUDA" : "no CUDA", blas.file,
      blas.is_slow ? " (the reference BLAS, slow: install libopenblas0-pthread)" : "");
}

}  // namespace consilium
