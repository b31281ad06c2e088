#pragma once

// One step of training: where a batch becomes a change of the network.

#include <torch/torch.h>

#include <memory>
#include <vector>

#include "client/batch/batch.h"
#include "client/nn/network_internal.h"
#include "client/train/loss_internal.h"
#include "client/train/optimizer_internal.h"
#include "client/train/trainer.h"

namespace consilium {

// What a step does with images that are where the network is: forward, loss, backward, the pull to
// the anchor, the clipped gradient, its shift, the optimiser.
class StepMath {
 public:
  // The network's tensors are the step's own until it goes; the anchor is what they are now.
  // With peers a step is that of all their images; without, null.
  StepMath(const Network::Impl& network, const TrainOptions& options, Peers* peers);
  ~StepMath();
  StepMath(const StepMath&) = delete;
  StepMath& operator=(const StepMath&) = delete;

  // The network in training mode, what is frozen of it as it is.
  void EnterTrainingMode();

  // Images N x C x H x W, channels last, and N labels or N x H x W, on the network's device; the
  // learning rate and the share that an image keeps in a mixture (1: none is mixed), in float32
  // there. Gives the loss, a scalar there. Nothing in it waits for the device.
  torch::Tensor Run(const torch::Tensor& images, const torch::Tensor& labels,
                    const torch::Tensor& rate, const torch::Tensor& kept);

  // Of a step that was not taken to its end.
  void ForgetGradients();

  Optimizer& optimizer() { return optimizer_; }

 private:
  // Leaves the gradients of the batch behind, and gives its loss.
  torch::Tensor Differentiate(const torch::Tensor& images, const torch::Tensor& labels,
                              const torch::Tensor& kept);
  // Of this peer's part; makes the gradients those of the whole batch, and gives its loss.
  torch::Tensor ShareGradients(const torch::Tensor& loss, const torch::Tensor& labels);
  torch::Tensor Forward(torch::Tensor images, const torch::Tensor& labels,
                        const torch::Tensor& kept);
  void PullToAnchor();
  void ClipGradient();
  void ShiftGradient();

  const Network::Impl& network_;
  const TrainOptions& options_;
  Peers* const peers_;
  std::vector<torch::Tensor> frozen_;
  std::vector<torch::Tensor> parameters_;  // the others
  Optimizer optimizer_;
  const Loss loss_;
  std::vector<torch::Tensor> anchor_;  // empty: none is needed
  std::vector<torch::Tensor> shift_;   // likewise
};

// Steps on batches, one after the other: Stage, Launch, Finish.
class TrainStep {
 public:
  virtual ~TrainStep() = default;
  // The batch that the next step is on. It must stay as it is until that step was launched. On a
  // GPU it is on its way there when this returns, beside the step that runs.
  virtual void Stage(const Batch& batch) = 0;
  // Begins the step, at this learning rate and with this share that an image keeps of itself.
  virtual void Launch(double rate, double kept) = 0;
  // Waits for the step that was launched last; its loss.
  virtual double Finish() = 0;
};

// On a GPU the same step again and again is a graph that is launched as a whole (CUDA graphs),
// where so many steps are to come that making it pays. `math` must outlive it.
std::unique_ptr<TrainStep> MakeTrainStep(StepMath& math, const torch::Device& device,
                                         std::uint64_t steps);
// In train_step_cuda.cc, which is built where LibTorch has CUDA.
std::unique_ptr<TrainStep> MakeCudaTrainStep(StepMath& math, const torch::Device& device,
                                             std::uint64_t steps);

// Puts the sum over all peers, times the factor, in the place of each tensor's numbers.
void SumOver(Peers& peers, std::vector<torch::Tensor>& tensors, double factor);

// A batch's images and labels as tensors over its own memory.
torch::Tensor HostImages(const Batch& batch);
torch::Tensor HostLabels(const Batch& batch);
// The images on a device, channels last.
torch::Tensor ImagesOn(const torch::Device& device, const Batch& batch);

}  // namespace consilium
