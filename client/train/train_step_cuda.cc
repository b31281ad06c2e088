#include <ATen/cuda/CUDAContext.h>
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>

#include <optional>

#include "client/train/train_step_internal.h"

namespace consilium {
namespace {

// Steps that are taken one kernel at a time before the graph is made, so that cuDNN has chosen its
// algorithms; and steps to come from which on it pays.
constexpr std::uint64_t kWarmUpSteps = 3;
constexpr std::uint64_t kStepsThatPay = 30;

// A batch travels in page-locked memory on a stream of its own while the step before it runs, then
// waits in a buffer on the device. The step reads from inputs that never move, as a graph must.
class CudaTrainStep final : public TrainStep {
 public:
  CudaTrainStep(StepMath& math, const torch::Device& device, std::uint64_t steps)
      : math_(math),
        device_(device),
        compute_(at::cuda::getStreamFromPool(/*isHighPriority=*/true, device.index())),
        copy_(at::cuda::getStreamFromPool(/*isHighPriority=*/false, device.index())),
        rate_(torch::empty({}, torch::TensorOptions(device).dtype(torch::kFloat32))),
        kept_(torch::empty_like(rate_)),
        settings_(PageLocked({2}, torch::kFloat32)),
        loss_(PageLocked({}, torch::kFloat32)),
        uses_graph_(steps >= kStepsThatPay) {
    const c10::cuda::CUDAGuard on_device(device_);
    compute_.synchronize();
    c10::cuda::device_synchronize();  // what made the network ran on another stream
  }
  ~CudaTrainStep() override {
    try {
      copy_.synchronize();
      compute_.synchronize();
    } catch (const std::exception&) {  // what went wrong was thrown where it happened
    }
  }

  void Stage(const Batch& batch) override {
    const torch::Tensor images = HostImages(batch);
    const torch::Tensor labels = HostLabels(batch);
    travelled_.synchronize();  // the page-locked memory is free again
    Place(images, labels);
    locked_images_.copy_(images);
    locked_labels_.copy_(labels);
    const c10::cuda::CUDAStreamGuard guard(copy_);
    taken_.block(copy_);
    staged_images_.copy_(locked_images_, /*non_blocking=*/true);
    staged_labels_.copy_(locked_labels_, /*non_blocking=*/true);
    travelled_.record(copy_);
  }

  void Launch(double rate, double kept) override {
    const c10::cuda::CUDAStreamGuard guard(compute_);
    settings_[0] = rate;
    settings_[1] = kept;
    rate_.copy_(settings_[0], /*non_blocking=*/true);
    kept_.copy_(settings_[1], /*non_blocking=*/true);
    travelled_.block(compute_);
    if (!images_.defined() || images_.sizes() != staged_images_.sizes()) {
      images_ = torch::empty_like(staged_images_, torch::MemoryFormat::ChannelsLast);
      labels_ = torch::empty_like(staged_labels_);
    }
    images_.copy_(staged_images_);
    labels_.copy_(staged_labels_);
    taken_.record(compute_);
    loss_.copy_(Step(), /*non_blocking=*/true);
  }

  double Finish() override {
    compute_.synchronize();
    return loss_.item<double>();
  }

 private:
  static torch::Tensor PageLocked(at::IntArrayRef shape, torch::ScalarType type) {
    return torch::empty(shape, torch::TensorOptions(type).pinned_memory(true));
  }

  // Room for a batch of this shape.
  void Place(const torch::Tensor& images, const torch::Tensor& labels) {
    if (locked_images_.defined() && locked_images_.sizes() == images.sizes()) return;
    const c10::cuda::CUDAGuard on_device(device_);
    taken_.synchronize();
    locked_images_ = PageLocked(images.sizes(), torch::kFloat32);
    locked_labels_ = PageLocked(labels.sizes(), torch::kInt64);
    staged_images_ = torch::empty(images.sizes(), torch::TensorOptions(device_));
    staged_labels_ =
        torch::empty(labels.sizes(), torch::TensorOptions(device_).dtype(torch::kInt64));
    // Another stream may have used this memory before, or be filling the network still.
    c10::cuda::device_synchronize();
  }

  torch::Tensor Step() {
    if (graph_ && images_.sizes() == graph_images_.sizes()) {
      graph_images_.copy_(images_);
      graph_labels_.copy_(labels_);
      graph_->replay();
      math_.optimizer().CountStep();
      return graph_loss_;
    }
    const torch::Tensor loss = math_.Run(images_, labels_, rate_, kept_);
    // An epoch's last batch may be smaller: the graph is of the largest, which is the usual one.
    if (images_.size(0) > usual_size_) {
      usual_size_ = images_.size(0);
      steps_of_usual_size_ = 0;
    }
    if (images_.size(0) == usual_size_ && ++steps_of_usual_size_ == kWarmUpSteps && uses_graph_) {
      Capture();
    }
    return loss;
  }

  // Records a step; it is not run by that. Where it cannot be recorded, for want of memory say, the
  // steps go on one kernel at a time.
  void Capture() {
    const std::int64_t steps = math_.optimizer().steps();
    graph_images_ = images_.clone(torch::MemoryFormat::ChannelsLast);
    graph_labels_ = labels_.clone();
    compute_.synchronize();
    c10::cuda::CUDACachingAllocator::emptyCache();  // nothing of it can be had while recording
    graph_.emplace();
    try {
      graph_->capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
      graph_loss_ = math_.Run(graph_images_, graph_labels_, rate_, kept_);
      graph_->capture_end();
    } catch (const std::exception&) {
      GiveUpGraph();
    }
    math_.ForgetGradients();
    math_.optimizer().SetSteps(steps);
  }

  void GiveUpGraph() {
    try {
      graph_->capture_end();
    } catch (const std::exception&) {  // it ends the recording, and says that it failed
    }
    graph_.reset();
    uses_graph_ = false;
    (void)cudaGetLastError();
  }

  StepMath& math_;
  const torch::Device device_;
  const c10::cuda::CUDAStream compute_;
  const c10::cuda::CUDAStream copy_;
  at::cuda::CUDAEvent travelled_;  // the staged batch is on the device
  at::cuda::CUDAEvent taken_;      // and was taken from where it was staged
  torch::Tensor locked_images_;
  torch::Tensor locked_labels_;
  torch::Tensor staged_images_;
  torch::Tensor staged_labels_;
  torch::Tensor images_;
  torch::Tensor labels_;
  torch::Tensor rate_;
  torch::Tensor kept_;
  torch::Tensor settings_;  // rate and kept, page-locked
  torch::Tensor loss_;      // page-locked
  bool uses_graph_;
  std::int64_t usual_size_ = 0;  // images in the largest batch so far
  std::uint64_t steps_of_usual_size_ = 0;
  std::optional<at::cuda::CUDAGraph> graph_;
  torch::Tensor graph_images_;
  torch::Tensor graph_labels_;
  torch::Tensor graph_loss_;
};

}  // namespace

std::unique_ptr<TrainStep> MakeCudaTrainStep(StepMath& math, const torch::Device& device,
                                             std::uint64_t steps) {
  // A stream and an event belong to one device.
  const torch::Device placed(torch::kCUDA,
                             device.has_index() ? device.index() : c10::cuda::current_device());
  return std::make_unique<CudaTrainStep>(math, placed, steps);
}

}  // namespace consilium
