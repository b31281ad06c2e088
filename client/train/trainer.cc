#include "client/train/trainer.h"

#include <array>
#include <chrono>
#include <cmath>

#include "client/nn/network_internal.h"
#include "client/train/autocast_internal.h"
#include "client/train/peers.h"
#include "client/train/train_step_internal.h"
#include "client/train/weight_average_internal.h"
#include "common/base/random.h"

namespace consilium {
namespace {

using Seconds = std::chrono::duration<double>;
using SteadyClock = std::chrono::steady_clock;

// Of epochs, as many as there are batches: one too many for each batch that is left out.
std::uint64_t StepsInAll(const TrainOptions& options, const BatchSource& source) {
  if (options.steps > 0) return static_cast<std::uint64_t>(options.steps);
  return static_cast<std::uint64_t>(options.epochs) * source.batches();
}

// One call of Train: the steps, and what they add up to.
class TrainingLoop {
 public:
  TrainingLoop(Network& network, BatchSource& source, const TrainOptions& options,
               const Checkpoints& checkpoints, Peers* peers)
      : network_(network.impl()),
        source_(source),
        options_(options),
        total_(StepsInAll(options, source)),
        math_(network_, options, peers),
        // A step that waits for peers cannot be recorded: as if too few were to come.
        step_(MakeTrainStep(math_, network_.device, peers == nullptr ? total_ : 0)),
        average_(network_, options.ema_decay),
        owner_(network),
        checkpoints_(checkpoints),
        peers_(peers) {}

  StatusOr<TrainReport> Run(const std::stop_token& stop, const StepCallback& on_step) {
    start_ = kept_ = SteadyClock::now();
    torch::manual_seed(options_.seed);
    (void)AnyStops({});  // nobody draws before all have set the generator that threads share
    if (checkpoints_.from != nullptr) CSL_RETURN_IF_ERROR(Restore(*checkpoints_.from));
    // Each GPU has a generator, and each replica's dropout is its own.
    if (peers_ != nullptr && peers_->rank() > 0 && network_.device.is_cuda()) {
      Generator().set_current_seed(options_.seed + static_cast<std::uint64_t>(peers_->rank()));
    }
    math_.EnterTrainingMode();
    while (!IsDone()) {
      source_.StartEpoch(options_.first_epoch + epochs_, taken_);
      CSL_RETURN_IF_ERROR(RunEpoch(stop, on_step));
      if (report_.steps == steps_at_epoch_start_) {
        return InvalidArgument("no batch of two or more images to train on");
      }
      ++epochs_;
      taken_ = 0;
      steps_at_epoch_start_ = report_.steps;
    }
    average_.PutInto(network_);
    ShareStatistics();
    report_.loss = loss_sum_ / static_cast<double>(report_.steps);
    report_.seconds += Seconds(SteadyClock::now() - start_).count();
    return report_;
  }

 private:
  bool IsDone() const {
    if (options_.steps > 0) return report_.steps >= total_;
    return epochs_ >= static_cast<std::uint64_t>(options_.epochs);
  }

  // A batch is got ready while the step on the one before it runs, where that is on a GPU.
  Status RunEpoch(const std::stop_token& stop, const StepCallback& on_step) {
    CSL_ASSIGN_OR_RETURN(const Batch* batch, NextBatch());
    while (batch != nullptr) {
      CSL_RETURN_IF_ERROR(KeepCheckpoint());
      if (AnyStops(stop)) return Cancelled("training stopped");
      step_->Launch(RateNow(), KeptNow());
      ++report_.steps;
      report_.examples += static_cast<std::uint64_t>(batch->images_in_all());
      batch = nullptr;
      if (report_.steps < total_) {
        CSL_ASSIGN_OR_RETURN(batch, NextBatch());
      }
      CSL_RETURN_IF_ERROR(CountLoss(step_->Finish()));
      average_.Add(report_.steps);
      if (on_step) on_step(report_.steps, total_);
    }
    return OkStatus();
  }

  // The epoch's next batch of two or more images, staged; null at its end.
  StatusOr<const Batch*> NextBatch() {
    const auto asked = SteadyClock::now();
    const Batch* batch = nullptr;
    do {
      CSL_ASSIGN_OR_RETURN(batch, source_.Next());
      if (batch != nullptr) ++taken_;
    } while (batch != nullptr && batch->images_in_all() < 2);
    report_.waiting_seconds += Seconds(SteadyClock::now() - asked).count();
    if (batch != nullptr) step_->Stage(*batch);
    return batch;
  }

  bool AnyStops(const std::stop_token& stop) const {
    std::array<float, 1> stops = {stop.stop_requested() ? 1.0F : 0.0F};
    if (peers_ != nullptr) peers_->Sum(stops);
    return stops[0] > 0;
  }

  // What is no parameter, batch norm's statistics, is each peer's of its own parts: the mean.
  void ShareStatistics() {
    if (peers_ == nullptr) return;
    const torch::NoGradGuard no_grad;
    std::vector<torch::Tensor> statistics;
    for (std::size_t i = 0; i < network_.tensors.size(); ++i) {
      const bool is_frozen = !options_.tensor_rates.empty() && options_.tensor_rates[i] == 0;
      if (network_.layout->tensors()[i].role == TensorRole::kParameter || is_frozen) continue;
      statistics.push_back(network_.tensors[i]);
    }
    SumOver(*peers_, statistics, 1.0 / peers_->size());
  }

  Status CountLoss(double loss) {
    loss_sum_ += loss;
    if (std::isfinite(loss)) return OkStatus();
    return FailedPrecondition("the loss is no longer finite at step {}: try a lower learning rate",
                              report_.steps);
  }

  Status KeepCheckpoint() {
    const auto now = SteadyClock::now();
    if (checkpoints_.interval.count() == 0 || now - kept_ < checkpoints_.interval) {
      return OkStatus();
    }
    kept_ = now;
    const torch::Tensor random = Generator().get_state();
    TrainState state{.network = owner_.State().values,
                     .optimizer = math_.optimizer().State(),
                     .average = average_.State(),
                     .random = {random.data_ptr<std::uint8_t>(),
                                random.data_ptr<std::uint8_t>() + random.numel()},
                     .epochs = epochs_,
                     .batches = taken_ - 1,  // the last is staged, and its step to come
                     .steps_at_epoch_start = steps_at_epoch_start_,
                     .report = report_};
    state.report.loss = loss_sum_;
    state.report.seconds += Seconds(now - start_).count();
    return checkpoints_.keep(state);
  }

  Status Restore(const TrainState& state) {
    if (state.network.size() != network_.layout->size()) {
      return InvalidArgument("a state of {} values, the network has {}", state.network.size(),
                             network_.layout->size());
    }
    ModelState model(network_.layout);
    model.values = state.network;
    CSL_RETURN_IF_ERROR(owner_.Load(model));
    CSL_RETURN_IF_ERROR(math_.optimizer().Restore(state.optimizer, state.report.steps));
    CSL_RETURN_IF_ERROR(average_.Restore(state.average));
    torch::Tensor random =
        torch::empty({static_cast<std::int64_t>(state.random.size())}, torch::kUInt8);
    std::copy(state.random.begin(), state.random.end(), random.data_ptr<std::uint8_t>());
    Generator().set_state(random);
    epochs_ = state.epochs;
    taken_ = state.batches;
    steps_at_epoch_start_ = state.steps_at_epoch_start;
    report_ = state.report;
    loss_sum_ = report_.loss;
    return OkStatus();
  }

  at::Generator Generator() const { return at::globalContext().defaultGenerator(network_.device); }

  // At the middle of the step, so that neither a warm-up's first nor a decay's last is lost.
  double RateNow() const {
    const double part = (static_cast<double>(report_.steps) + 0.5) / static_cast<double>(total_);
    const double progress =
        options_.progress_begin + part * (options_.progress_end - options_.progress_begin);
    return options_.learning_rate * RateFactor(options_.schedule, options_.warmup, progress);
  }

  // Of an image in the mixture that the step is on, drawn from Beta(alpha, alpha) as Joehnk (1964)
  // does it; the larger part, so that it is the image's own class that weighs more.
  double KeptNow() const {
    if (options_.mixup_alpha == 0) return 1;
    Random random = Random::For(options_.seed, report_.steps);
    while (true) {
      const double x = std::pow(random.Uniform(), 1 / options_.mixup_alpha);
      const double y = std::pow(random.Uniform(), 1 / options_.mixup_alpha);
      if (x + y > 0 && x + y <= 1) return std::max(x, y) / (x + y);
    }
  }

  Network::Impl& network_;
  BatchSource& source_;
  const TrainOptions& options_;
  const std::uint64_t total_;
  StepMath math_;
  const std::unique_ptr<TrainStep> step_;
  WeightAverage average_;
  Network& owner_;
  const Checkpoints& checkpoints_;
  Peers* const peers_;
  SteadyClock::time_point start_;
  SteadyClock::time_point kept_;
  // Where the training is. While it runs, report_ lacks the loss, and the seconds since start_.
  std::uint64_t epochs_ = 0;
  std::uint64_t taken_ = 0;  // batches, of this epoch
  std::uint64_t steps_at_epoch_start_ = 0;
  TrainReport report_;
  double loss_sum_ = 0;
};

// Each pixel whose tissue is known is an example.
void AddPixels(const Batch& batch, std::span<const float> probabilities, Evaluation& evaluation) {
  const std::size_t classes = kTissues.size();
  for (std::size_t i = 0; i < batch.labels.size(); ++i) {
    if (batch.labels[i] >= kSomeLung) continue;
    const auto p = probabilities.subspan(i * classes, classes);
    const float own = std::max(p[static_cast<std::size_t>(batch.labels[i])], kSmallestProbability);
    evaluation.Add(p, static_cast<int>(batch.labels[i]), -std::log(own));
  }
}

}  // namespace

StatusOr<TrainReport> Train(Network& network, BatchSource& source, const TrainOptions& options,
                            const std::stop_token& stop, const StepCallback& on_step,
                            const Checkpoints& checkpoints, Peers* peers) {
  const std::size_t elements = network.layout()->size();
  if (!options.tensor_rates.empty() &&
      options.tensor_rates.size() != network.layout()->tensors().size()) {
    return InvalidArgument("rates of {} tensors, the network has {}", options.tensor_rates.size(),
                           network.layout()->tensors().size());
  }
  if (!options.gradient_shift.empty() && options.gradient_shift.size() != elements) {
    return InvalidArgument("a gradient shift of {} numbers, the network has {}",
                           options.gradient_shift.size(), elements);
  }
  auto report = CatchAsStatus("training", [&] {
    return TrainingLoop(network, source, options, checkpoints, peers).Run(stop, on_step);
  });
  if (!report.ok()) return report.status();
  return *std::move(report);
}

Status CheckNamesPictures(const ModelSpec& spec) {
  if (!LabelsPixels(spec)) return OkStatus();
  return InvalidArgument("a {} labels pixels, it names no picture's class: see extent",
                         spec.architecture);
}

StatusOr<Scores> Score(Network& network, BatchSource& source, const std::stop_token& stop,
                       const StepCallback& on_step) {
  CSL_RETURN_IF_ERROR(CheckNamesPictures(network.spec()));
  Scores scores{.classes = static_cast<int>(network.spec().classes.size())};
  source.StartEpoch(0);
  for (std::uint64_t step = 1;; ++step) {
    if (stop.stop_requested()) return Cancelled("evaluation stopped");
    CSL_ASSIGN_OR_RETURN(const Batch* batch, source.Next());
    if (batch == nullptr) return scores;
    if (batch->labels.size() != static_cast<std::size_t>(batch->count)) {
      return InvalidArgument("the images have labels of pixels, not of pictures");
    }
    CSL_ASSIGN_OR_RETURN(const std::vector<float> p, Predict(network, *batch));
    if (!AllFinite(p)) {
      return FailedPrecondition("the model's scores are not finite: it has diverged");
    }
    scores.probabilities.insert(scores.probabilities.end(), p.begin(), p.end());
    scores.labels.insert(scores.labels.end(), batch->labels.begin(), batch->labels.end());
    if (on_step) on_step(step, source.batches());
  }
}

StatusOr<Evaluation> Evaluate(Network& network, BatchSource& source, const std::stop_token& stop,
                              const StepCallback& on_step) {
  if (!LabelsPixels(network.spec())) {
    CSL_ASSIGN_OR_RETURN(const Scores scores, Score(network, source, stop, on_step));
    return Count(scores);
  }
  Evaluation evaluation(static_cast<int>(kTissues.size()));
  source.StartEpoch(0);
  for (std::uint64_t step = 1;; ++step) {
    if (stop.stop_requested()) return Cancelled("evaluation stopped");
    CSL_ASSIGN_OR_RETURN(const Batch* batch, source.Next());
    if (batch == nullptr) return evaluation;
    CSL_ASSIGN_OR_RETURN(const std::vector<float> p, Predict(network, *batch));
    if (!AllFinite(p)) {
      return FailedPrecondition("the model's scores are not finite: it has diverged");
    }
    AddPixels(*batch, p, evaluation);
    if (on_step) on_step(step, source.batches());
  }
}

StatusOr<std::vector<float>> Predict(Network& network, const Batch& batch) {
  return CatchAsStatus("predicting", [&] {
    const torch::NoGradGuard no_grad;
    Network::Impl& impl = network.impl();
    impl.module->eval();
    torch::Tensor scores;
    {
      const Autocast autocast(impl);
      scores = impl.module->Forward(ImagesOn(impl.device, batch));
    }
    torch::Tensor p = scores.to(torch::kFloat32).softmax(1);
    if (p.dim() == 4) p = p.permute({0, 2, 3, 1});
    p = p.cpu().contiguous();
    return std::vector<float>(p.data_ptr<float>(), p.data_ptr<float>() + p.numel());
  });
}

}  // namespace consilium
