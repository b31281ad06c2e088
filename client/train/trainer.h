#pragma once

// Local training: what happens inside a hospital between two models. Knows no network and no file.

#include <chrono>
#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "client/batch/batch.h"
#include "client/nn/network.h"
#include "common/base/status.h"
#include "common/metrics/scores.h"
#include "common/schedule/local_work.h"

namespace consilium {

enum class OptimizerKind { kSgd, kAdamW, kLamb };
enum class LossKind { kCrossEntropy, kFocal };  // see loss_internal.h

// Of a network that labels pixels, the loss is that of pixel_loss_internal.h, whatever is said here
// of a loss, of classes and of mixtures.
struct TrainOptions {
  int epochs = 1;
  int steps = 0;  // if above 0, this many batches instead of epochs
  OptimizerKind optimizer = OptimizerKind::kSgd;
  double learning_rate = 0.01;
  double momentum = 0.9;    // SGD
  double weight_decay = 0;  // SGD: added to the gradient; AdamW: decoupled; LAMB: of the direction
  Schedule schedule = Schedule::kConstant;
  double warmup = 0;     // share of the whole run over which the rate rises
  double clip_norm = 0;  // of the whole gradient's L2 norm; 0: none
  LossKind loss = LossKind::kCrossEntropy;
  double focal_gamma = 2;
  double label_smoothing = 0;  // of cross-entropy, in [0, 1)
  // Mixes each image with another of its batch, and their losses likewise, in shares drawn from
  // Beta(alpha, alpha), alpha in [0, 1] (Zhang et al., ICLR 2018, equation 1); 0: none.
  double mixup_alpha = 0;
  std::vector<float> class_weights;  // one a class, or none
  // Classes that this site has no example of are left out of the softmax that it trains: it learns
  // to tell its own classes apart and leaves the others' outputs to the sites that have them.
  // Without it every batch here would teach the network that the absent classes do not exist. The
  // restricted softmax of Li and Zhan (KDD 2021, section 4), at its limit.
  std::vector<int> absent_classes;
  // Adds mu / 2 times the squared distance from the network at the beginning to the loss, so that a
  // site whose data differ does not go far from the others (FedProx; Li et al., MLSys 2020,
  // equation 2). The loss in the report is without it.
  double proximal_mu = 0;
  // Of each of the layout's tensors, a factor on the learning rate; 0: it does not change, nor do
  // its layer's statistics. Empty: all 1. See common/model/stage.h.
  std::vector<double> tensor_rates;
  double ema_decay = 0;  // a training gives a mean of its weights: see weight_average_internal.h
  // So many images of a batch are in the network at a time; 0: all. The step is that of the whole
  // batch, but for batch norm and mixup, which see a part at a time.
  int micro_batch = 0;
  // Added to each gradient after it was clipped, one number for each of the layout's elements, in
  // its order; empty: nothing (SCAFFOLD: see control_variate.h).
  std::vector<float> gradient_shift;
  std::uint64_t seed = 1;         // of dropout
  std::uint64_t first_epoch = 0;  // the data's order goes on from here
  // Which part of the whole run this training is, in [0, 1]: round r of R is [(r-1)/R, r/R].
  double progress_begin = 0;
  double progress_end = 1;
};

struct TrainReport {
  std::uint64_t steps = 0;
  std::uint64_t examples = 0;  // images seen, counting each time
  double loss = 0;             // mean over the steps
  double seconds = 0;
  double waiting_seconds = 0;  // of them spent waiting for the loader
};

// Called after each step with steps done and in all.
using StepCallback = std::function<void(std::uint64_t done, std::uint64_t total)>;

// A training in the middle: enough to go on from there, with the same bits as without a stop.
struct TrainState {
  std::vector<float> network;        // all tensors' values, in the layout's order
  std::vector<float> optimizer;      // its moments
  std::vector<float> average;        // the mean of the weights, where one is taken
  std::vector<std::uint8_t> random;  // the device's generator
  std::uint64_t epochs = 0;          // that were ended
  std::uint64_t batches = 0;         // that were taken from the one after them
  std::uint64_t steps_at_epoch_start = 0;
  TrainReport report;  // so far; its loss is a sum
};

// When to keep such a state, and the one to begin with.
struct Checkpoints {
  std::chrono::nanoseconds interval{0};  // at least this between two; 0: none
  std::function<Status(const TrainState&)> keep;
  const TrainState* from = nullptr;
};

class Peers;

// Trains in place, channels-last; on CUDA in bfloat16 autocast, a step as one graph. On a CPU the
// same network, batches, options and thread count give the same weights. Batches of a single image
// are left out: batch norm has no variance there. CANCELLED when stopped, with the network in
// mid-training; FAILED_PRECONDITION where the loss is no longer finite, saying at which step;
// INVALID_ARGUMENT where the state to begin with, or the shift, is not of this network and
// optimiser. With peers the source gives this one's part of every batch, and all take the same
// steps, to the same weights; see TrainReplicas. Once one of them is stopped, all are.
StatusOr<TrainReport> Train(Network& network, BatchSource& source, const TrainOptions& options,
                            const std::stop_token& stop, const StepCallback& on_step = {},
                            const Checkpoints& checkpoints = {}, Peers* peers = nullptr);

// INVALID_ARGUMENT for a network that labels pixels, where what is wanted is a picture's class.
Status CheckNamesPictures(const ModelSpec& spec);

// Scores one epoch of the source, in its order; whose the images are is the caller's to say.
// INVALID_ARGUMENT for a network that labels pixels.
StatusOr<Scores> Score(Network& network, BatchSource& source, const std::stop_token& stop,
                       const StepCallback& on_step = {});

// The same as counts and unweighted loss. Where the network labels pixels, the examples are the
// pixels whose tissue is known: the F1 score of a tissue is its Dice coefficient then.
StatusOr<Evaluation> Evaluate(Network& network, BatchSource& source, const std::stop_token& stop,
                              const StepCallback& on_step = {});

// Probabilities, N x K, for a batch; N x H x W x K of a network that labels pixels.
StatusOr<std::vector<float>> Predict(Network& network, const Batch& batch);

}  // namespace consilium
