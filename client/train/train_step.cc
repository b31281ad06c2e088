#include <set>
#include <string>

#include "client/train/autocast_internal.h"
#include "client/train/peers.h"
#include "client/train/pixel_loss_internal.h"
#include "client/train/train_step_internal.h"

namespace consilium {
namespace {

double RateOf(const TrainOptions& options, std::size_t tensor) {
  return options.tensor_rates.empty() ? 1 : options.tensor_rates[tensor];
}

// Those that must not change, from here on without a gradient.
std::vector<torch::Tensor> Freeze(const Network::Impl& network, const TrainOptions& options) {
  std::vector<torch::Tensor> frozen;
  for (std::size_t i = 0; i < network.tensors.size(); ++i) {
    if (!network.tensors[i].requires_grad() || RateOf(options, i) != 0) continue;
    frozen.push_back(network.tensors[i]);
    frozen.back().requires_grad_(false);
  }
  return frozen;
}

std::vector<torch::Tensor> ParametersOf(const Network::Impl& network) {
  std::vector<torch::Tensor> parameters;
  for (const torch::Tensor& tensor : network.tensors) {
    if (tensor.requires_grad()) parameters.push_back(tensor);
  }
  return parameters;
}

std::vector<float> RatesOf(const Network::Impl& network, const TrainOptions& options) {
  std::vector<float> rates;
  for (std::size_t i = 0; i < network.tensors.size(); ++i) {
    if (network.tensors[i].requires_grad()) rates.push_back(static_cast<float>(RateOf(options, i)));
  }
  return rates;
}

// The layout's numbers of each tensor that is trained, where and as that tensor lies.
std::vector<torch::Tensor> PerParameter(const Network::Impl& network,
                                        const std::vector<float>& values) {
  std::vector<torch::Tensor> tensors;
  for (std::size_t i = 0; i < network.tensors.size(); ++i) {
    const torch::Tensor& parameter = network.tensors[i];
    if (!parameter.requires_grad()) continue;
    float* begin = const_cast<float*>(values.data()) + network.layout->offset(i);
    tensors.push_back(torch::empty_like(parameter.detach())
                          .copy_(torch::from_blob(begin, parameter.sizes(), torch::kFloat32)));
  }
  return tensors;
}

// On the CPU: a step is done when Launch returns.
class CpuTrainStep final : public TrainStep {
 public:
  explicit CpuTrainStep(StepMath& math) : math_(math) {}

  void Stage(const Batch& batch) override { batch_ = &batch; }
  void Launch(double rate, double kept) override {
    loss_ = math_.Run(ImagesOn(torch::kCPU, *batch_), HostLabels(*batch_),
                      torch::scalar_tensor(rate), torch::scalar_tensor(kept));
  }
  double Finish() override { return loss_.item<double>(); }

 private:
  StepMath& math_;
  const Batch* batch_ = nullptr;
  torch::Tensor loss_;
};

}  // namespace

StepMath::StepMath(const Network::Impl& network, const TrainOptions& options, Peers* peers)
    : network_(network),
      options_(options),
      peers_(peers),
      frozen_(Freeze(network, options)),
      parameters_(ParametersOf(network)),
      optimizer_(options, parameters_, RatesOf(network, options)),
      loss_(options, network.spec.classes.size(), network.device) {
  if (!options.gradient_shift.empty()) shift_ = PerParameter(network, options.gradient_shift);
  if (options.proximal_mu == 0) return;
  for (const torch::Tensor& parameter : parameters_) {
    anchor_.push_back(parameter.detach().clone());
  }
}

StepMath::~StepMath() {
  for (torch::Tensor& tensor : frozen_) tensor.requires_grad_(true);
}

void StepMath::EnterTrainingMode() {
  network_.module->train();
  std::set<std::string> still;  // statistics that are frozen
  for (std::size_t i = 0; i < network_.tensors.size(); ++i) {
    if (RateOf(options_, i) == 0) still.insert(network_.layout->tensors()[i].name);
  }
  for (const auto& item : network_.module->named_modules()) {
    if (still.contains(item.key() + ".running_mean")) item.value()->eval();
  }
}

torch::Tensor StepMath::Run(const torch::Tensor& images, const torch::Tensor& labels,
                            const torch::Tensor& rate, const torch::Tensor& kept) {
  torch::Tensor loss = Differentiate(images, labels, kept);
  if (peers_ != nullptr) loss = ShareGradients(loss, labels);
  PullToAnchor();
  if (options_.clip_norm > 0) ClipGradient();
  ShiftGradient();
  optimizer_.Step(rate);
  return loss;
}

torch::Tensor StepMath::Differentiate(const torch::Tensor& images, const torch::Tensor& labels,
                                      const torch::Tensor& kept) {
  const std::int64_t count = images.size(0);
  if (count == 0) return torch::zeros({}, images.options());  // a peer's, of a small batch
  std::int64_t parts = 1;
  if (options_.micro_batch > 0) parts = (count + options_.micro_batch - 1) / options_.micro_batch;
  // Batch norm has no variance over a single image.
  if (parts > 1 && count / parts < 2) --parts;
  if (parts == 1) {
    const torch::Tensor loss = Forward(images, labels, kept);
    loss.backward();
    return loss.detach();
  }
  const std::vector<torch::Tensor> image_parts = images.tensor_split(parts);
  const std::vector<torch::Tensor> label_parts = labels.tensor_split(parts);
  const torch::Tensor weight = loss_.WeightOf(labels);
  torch::Tensor sum = torch::zeros_like(weight);
  for (std::size_t p = 0; p < image_parts.size(); ++p) {
    const torch::Tensor share = loss_.WeightOf(label_parts[p]) / weight;
    const torch::Tensor loss = Forward(image_parts[p], label_parts[p], kept) * share;
    loss.backward();
    sum += loss.detach();
  }
  return sum;
}

torch::Tensor StepMath::ShareGradients(const torch::Tensor& loss, const torch::Tensor& labels) {
  const torch::NoGradGuard no_grad;
  const torch::Tensor weight = loss_.WeightOf(labels);
  std::vector<torch::Tensor> shared = {loss * weight, weight.clone()};
  for (torch::Tensor& parameter : parameters_) {
    torch::Tensor& gradient = parameter.mutable_grad();
    if (!gradient.defined()) gradient = torch::zeros_like(parameter);
    shared.push_back(gradient.mul_(weight));
  }
  SumOver(*peers_, shared, 1);
  for (std::size_t i = 2; i < shared.size(); ++i) shared[i].div_(shared[1]);
  return shared[0] / shared[1];
}

void StepMath::ForgetGradients() {
  for (torch::Tensor& parameter : parameters_) parameter.mutable_grad().reset();
}

torch::Tensor StepMath::Forward(torch::Tensor images, const torch::Tensor& labels,
                                const torch::Tensor& kept) {
  const bool mixes = options_.mixup_alpha > 0;
  // Whom an image is mixed with: the one before it in the batch, whose order is random.
  if (mixes) images = images * kept + images.roll(1, 0) * (1 - kept);
  const Autocast autocast(network_);
  const torch::Tensor scores = network_.module->Forward(images).to(torch::kFloat32);
  if (LabelsPixels(network_.spec)) return PixelLoss(scores, labels);
  if (!mixes) return loss_(scores, labels);
  return kept * loss_(scores, labels) + (1 - kept) * loss_(scores, labels.roll(1, 0));
}

// The gradient of the proximal term.
void StepMath::PullToAnchor() {
  const torch::NoGradGuard no_grad;
  for (std::size_t i = 0; i < anchor_.size(); ++i) {
    torch::Tensor& gradient = parameters_[i].mutable_grad();
    if (gradient.defined()) gradient.add_(parameters_[i] - anchor_[i], options_.proximal_mu);
  }
}

void StepMath::ClipGradient() {
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> gradients;
  std::vector<torch::Tensor> norms;
  for (const torch::Tensor& parameter : parameters_) {
    if (!parameter.grad().defined()) continue;
    gradients.push_back(parameter.grad());
    norms.push_back(parameter.grad().norm());
  }
  const torch::Tensor norm = torch::stack(norms).norm();
  const torch::Tensor factor = (options_.clip_norm / (norm + 1e-6)).clamp_max(1);
  for (torch::Tensor& gradient : gradients) gradient.mul_(factor);
}

void StepMath::ShiftGradient() {
  const torch::NoGradGuard no_grad;
  for (std::size_t i = 0; i < shift_.size(); ++i) {
    torch::Tensor& gradient = parameters_[i].mutable_grad();
    if (gradient.defined()) gradient.add_(shift_[i]);
  }
}

std::unique_ptr<TrainStep> MakeTrainStep(StepMath& math, const torch::Device& device,
                                         [[maybe_unused]] std::uint64_t steps) {
#ifdef CONSILIUM_CUDA
  if (device.is_cuda()) return MakeCudaTrainStep(math, device, steps);
#endif
  TORCH_CHECK(device.is_cpu(), "this build trains on the CPU alone");
  return std::make_unique<CpuTrainStep>(math);
}

void SumOver(Peers& peers, std::vector<torch::Tensor>& tensors, double factor) {
  if (tensors.empty()) return;
  std::vector<torch::Tensor> flat;
  for (const torch::Tensor& tensor : tensors) {
    flat.push_back(tensor.reshape({-1}).to(torch::kFloat32));
  }
  torch::Tensor all = torch::cat(flat).contiguous();
  if (!peers.SumOnGpus(all)) {
    all = all.cpu();
    peers.Sum({all.data_ptr<float>(), static_cast<std::size_t>(all.numel())});
  }
  all.mul_(factor);
  std::int64_t begin = 0;
  for (torch::Tensor& tensor : tensors) {
    tensor.copy_(all.narrow(0, begin, tensor.numel()).view(tensor.sizes()));
    begin += tensor.numel();
  }
}

torch::Tensor HostImages(const Batch& batch) {
  // LibTorch takes no pointer to const; nothing writes through the result.
  return torch::from_blob(const_cast<float*>(batch.pixels.data()),
                          {batch.count, batch.channels, batch.height, batch.width},
                          torch::kFloat32);
}

torch::Tensor HostLabels(const Batch& batch) {
  const bool of_pixels = batch.labels.size() != static_cast<std::size_t>(batch.count);
  const std::vector<std::int64_t> sizes =
      of_pixels ? std::vector<std::int64_t>{batch.count, batch.height, batch.width}
                : std::vector<std::int64_t>{batch.count};
  return torch::from_blob(const_cast<std::int64_t*>(batch.labels.data()), sizes, torch::kInt64);
}

torch::Tensor ImagesOn(const torch::Device& device, const Batch& batch) {
  // Not contiguous(ChannelsLast): a single channel counts as contiguous either way, keeps the
  // strides of channels first, and every layer after the first convolution would follow it.
  return HostImages(batch).to(torch::TensorOptions(device), /*non_blocking=*/false, /*copy=*/false,
                              torch::MemoryFormat::ChannelsLast);
}

}  // namespace consilium
