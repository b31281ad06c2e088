#include "client/train/trainer.h"

#include <chrono>
#include <cmath>
#include <numbers>

#include "client/nn/network_internal.h"
#include "client/train/autocast_internal.h"
#include "client/train/loss_internal.h"
#include "client/train/optimizer_internal.h"

namespace consilium {
namespace {

using Seconds = std::chrono::duration<double>;
using SteadyClock = std::chrono::steady_clock;

// The batch's images on the network's device, channels last.
torch::Tensor ImagesOf(const Batch& batch, const torch::Device& device) {
  const torch::Tensor host =
      torch::from_blob(const_cast<float*>(batch.pixels.data()),
                       {batch.count, batch.channels, batch.height, batch.width}, torch::kFloat32);
  // Not contiguous(ChannelsLast): a single channel counts as contiguous either way, keeps the
  // strides of channels first, and every layer after the first convolution would follow it.
  return host.to(torch::TensorOptions(device), /*non_blocking=*/false, /*copy=*/false,
                 torch::MemoryFormat::ChannelsLast);
}

torch::Tensor LabelsOf(const Batch& batch, const torch::Device& device) {
  return torch::from_blob(const_cast<std::int64_t*>(batch.labels.data()), {batch.count},
                          torch::kInt64)
      .to(device);
}

std::vector<torch::Tensor> ParametersOf(const Network::Impl& network) {
  std::vector<torch::Tensor> parameters;
  for (std::size_t i = 0; i < network.tensors.size(); ++i) {
    if (network.layout->tensors()[i].role == TensorRole::kParameter) {
      parameters.push_back(network.tensors[i]);
    }
  }
  return parameters;
}

// Of epochs, as many as there are batches: one too many for each batch that is left out.
std::uint64_t StepsInAll(const TrainOptions& options, const BatchSource& source) {
  if (options.steps > 0) return static_cast<std::uint64_t>(options.steps);
  return static_cast<std::uint64_t>(options.epochs) * source.batches();
}

// One call of Train: the steps, and what they add up to.
class TrainingLoop {
 public:
  TrainingLoop(Network& network, BatchSource& source, const TrainOptions& options,
               const Checkpoints& checkpoints)
      : network_(network.impl()),
        source_(source),
        options_(options),
        total_(StepsInAll(options, source)),
        parameters_(ParametersOf(network_)),
        optimizer_(options, parameters_),
        loss_(options, network_.spec.classes.size(), network_.device),
        owner_(network),
        checkpoints_(checkpoints) {
    if (options.proximal_mu == 0) return;
    for (const torch::Tensor& parameter : parameters_) {
      anchor_.push_back(parameter.detach().clone());
    }
  }

  StatusOr<TrainReport> Run(const std::stop_token& stop, const StepCallback& on_step) {
    start_ = kept_ = SteadyClock::now();
    torch::manual_seed(options_.seed);
    if (checkpoints_.from != nullptr) CSL_RETURN_IF_ERROR(Restore(*checkpoints_.from));
    network_.module->train();
    while (!IsDone()) {
      source_.StartEpoch(options_.first_epoch + epochs_, batches_);
      CSL_RETURN_IF_ERROR(RunEpoch(stop, on_step));
      if (report_.steps == steps_at_epoch_start_) {
        return InvalidArgument("no batch of two or more images to train on");
      }
      ++epochs_;
      batches_ = 0;
      steps_at_epoch_start_ = report_.steps;
    }
    report_.loss = loss_sum_ / static_cast<double>(report_.steps);
    report_.seconds += Seconds(SteadyClock::now() - start_).count();
    return report_;
  }

 private:
  bool IsDone() const {
    if (options_.steps > 0) return report_.steps >= total_;
    return epochs_ >= static_cast<std::uint64_t>(options_.epochs);
  }

  Status RunEpoch(const std::stop_token& stop, const StepCallback& on_step) {
    while (report_.steps < total_) {
      CSL_RETURN_IF_ERROR(KeepCheckpoint());
      if (stop.stop_requested()) return Cancelled("training stopped");
      const auto asked = SteadyClock::now();
      CSL_ASSIGN_OR_RETURN(const Batch* batch, source_.Next());
      report_.waiting_seconds += Seconds(SteadyClock::now() - asked).count();
      if (batch == nullptr) return OkStatus();
      ++batches_;
      if (batch->count < 2) continue;
      CSL_RETURN_IF_ERROR(Step(*batch));
      if (on_step) on_step(report_.steps, total_);
    }
    return OkStatus();
  }

  Status KeepCheckpoint() {
    const auto now = SteadyClock::now();
    if (checkpoints_.interval.count() == 0 || now - kept_ < checkpoints_.interval) {
      return OkStatus();
    }
    kept_ = now;
    const torch::Tensor random = Generator().get_state();
    TrainState state{.network = owner_.State().values,
                     .optimizer = optimizer_.State(),
                     .random = {random.data_ptr<std::uint8_t>(),
                                random.data_ptr<std::uint8_t>() + random.numel()},
                     .epochs = epochs_,
                     .batches = batches_,
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
    CSL_RETURN_IF_ERROR(optimizer_.Restore(state.optimizer, state.report.steps));
    torch::Tensor random =
        torch::empty({static_cast<std::int64_t>(state.random.size())}, torch::kUInt8);
    std::copy(state.random.begin(), state.random.end(), random.data_ptr<std::uint8_t>());
    Generator().set_state(random);
    epochs_ = state.epochs;
    batches_ = state.batches;
    steps_at_epoch_start_ = state.steps_at_epoch_start;
    report_ = state.report;
    loss_sum_ = report_.loss;
    return OkStatus();
  }

  at::Generator Generator() const { return at::globalContext().defaultGenerator(network_.device); }

  Status Step(const Batch& batch) {
    // At the middle of the step, so that neither a warm-up's first nor a decay's last is lost.
    const double part = (static_cast<double>(report_.steps) + 0.5) / static_cast<double>(total_);
    const double progress =
        options_.progress_begin + part * (options_.progress_end - options_.progress_begin);
    const double rate =
        options_.learning_rate * RateFactor(options_.schedule, options_.warmup, progress);

    const double loss = ForwardAndBackward(batch);
    ++report_.steps;
    report_.examples += static_cast<std::uint64_t>(batch.count);
    loss_sum_ += loss;
    if (!std::isfinite(loss)) {
      return FailedPrecondition(
          "the loss is no longer finite at step {}: try a lower learning rate", report_.steps);
    }
    PullToAnchor();
    if (options_.clip_norm > 0) {
      torch::nn::utils::clip_grad_norm_(parameters_, options_.clip_norm);
    }
    optimizer_.Step(rate);
    return OkStatus();
  }

  double ForwardAndBackward(const Batch& batch) {
    torch::Tensor loss;
    {
      const Autocast autocast(network_.device);
      const torch::Tensor scores =
          network_.module->Forward(ImagesOf(batch, network_.device)).to(torch::kFloat32);
      loss = loss_(scores, LabelsOf(batch, network_.device));
    }
    loss.backward();
    return loss.item<double>();
  }

  // The gradient of the proximal term.
  void PullToAnchor() {
    const torch::NoGradGuard no_grad;
    for (std::size_t i = 0; i < anchor_.size(); ++i) {
      torch::Tensor& gradient = parameters_[i].mutable_grad();
      if (gradient.defined()) gradient.add_(parameters_[i] - anchor_[i], options_.proximal_mu);
    }
  }

  Network::Impl& network_;
  BatchSource& source_;
  const TrainOptions& options_;
  const std::uint64_t total_;
  std::vector<torch::Tensor> parameters_;
  Optimizer optimizer_;
  const Loss loss_;
  std::vector<torch::Tensor> anchor_;  // the parameters at the beginning; empty: none is needed
  Network& owner_;
  const Checkpoints& checkpoints_;
  SteadyClock::time_point start_;
  SteadyClock::time_point kept_;
  // Where the training is. While it runs, report_ lacks the loss, and the seconds since start_.
  std::uint64_t epochs_ = 0;
  std::uint64_t batches_ = 0;
  std::uint64_t steps_at_epoch_start_ = 0;
  TrainReport report_;
  double loss_sum_ = 0;
};

}  // namespace

StatusOr<TrainReport> Train(Network& network, BatchSource& source, const TrainOptions& options,
                            const std::stop_token& stop, const StepCallback& on_step,
                            const Checkpoints& checkpoints) {
  auto report = CatchAsStatus("training", [&] {
    return TrainingLoop(network, source, options, checkpoints).Run(stop, on_step);
  });
  if (!report.ok()) return report.status();
  return *std::move(report);
}

StatusOr<Evaluation> Evaluate(Network& network, BatchSource& source, const std::stop_token& stop,
                              const StepCallback& on_step) {
  const std::size_t classes = network.spec().classes.size();
  Evaluation evaluation(static_cast<int>(classes));
  source.StartEpoch(0);
  for (std::uint64_t step = 1;; ++step) {
    if (stop.stop_requested()) return Cancelled("evaluation stopped");
    CSL_ASSIGN_OR_RETURN(const Batch* batch, source.Next());
    if (batch == nullptr) return evaluation;
    CSL_ASSIGN_OR_RETURN(const std::vector<float> p, Predict(network, *batch));
    if (!AllFinite(p)) {
      return FailedPrecondition("the model's scores are not finite: it has diverged");
    }
    for (std::size_t i = 0; i < batch->labels.size(); ++i) {
      const auto row = std::span(p).subspan(i * classes, classes);
      const auto label = static_cast<std::size_t>(batch->labels[i]);
      constexpr float kSmallest = 1e-12F;  // keeps the loss of a sure mistake finite
      evaluation.Add(row, static_cast<int>(label), -std::log(std::max(row[label], kSmallest)));
    }
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
      const Autocast autocast(impl.device);
      scores = impl.module->Forward(ImagesOf(batch, impl.device));
    }
    const torch::Tensor p = scores.to(torch::kFloat32).softmax(1).cpu().contiguous();
    return std::vector<float>(p.data_ptr<float>(), p.data_ptr<float>() + p.numel());
  });
}

double RateFactor(Schedule schedule, double warmup, double progress) {
  if (progress < warmup) return progress / warmup;
  if (schedule == Schedule::kConstant || warmup >= 1) return 1;
  return 0.5 * (1 + std::cos(std::numbers::pi * (progress - warmup) / (1 - warmup)));
}

}  // namespace consilium
