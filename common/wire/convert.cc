#include "common/wire/convert.h"

namespace consilium {
namespace {

constexpr std::uint32_t kMaxInt = 1 << 20;  // far above any value that CheckModelSpec accepts

int ToInt(std::uint32_t value) { return static_cast<int>(std::min(value, kMaxInt)); }

}  // namespace

v1::ModelSpec ToProto(const ModelSpec& spec) {
  v1::ModelSpec message;
  message.set_architecture(spec.architecture);
  message.set_channels(static_cast<std::uint32_t>(spec.channels));
  message.set_input_size(static_cast<std::uint32_t>(spec.input_size));
  *message.mutable_classes() = {spec.classes.begin(), spec.classes.end()};
  message.set_mean(spec.mean);
  message.set_stddev(spec.stddev);
  message.set_dropout(spec.dropout);
  message.set_window_center(spec.window_center);
  message.set_window_width(spec.window_width);
  *message.mutable_local_tensors() = {spec.local_tensors.begin(), spec.local_tensors.end()};
  return message;
}

StatusOr<ModelSpec> FromProto(const v1::ModelSpec& message) {
  ModelSpec spec{.architecture = message.architecture(),
                 .channels = ToInt(message.channels()),
                 .input_size = ToInt(message.input_size()),
                 .classes = {message.classes().begin(), message.classes().end()},
                 .mean = message.mean(),
                 .stddev = message.stddev(),
                 .dropout = message.dropout(),
                 .window_center = message.window_center(),
                 .window_width = message.window_width(),
                 .local_tensors = {message.local_tensors().begin(), message.local_tensors().end()}};
  CSL_RETURN_IF_ERROR(CheckModelSpec(spec));
  return spec;
}

std::vector<Stage> StagesOf(const v1::RunPlan& plan) {
  std::vector<Stage> stages;
  for (const v1::Stage& message : plan.training().stages()) {
    stages.push_back({.tensors = {message.tensors().begin(), message.tensors().end()},
                      .rate = message.has_rate() ? message.rate() : 1,
                      .frozen = message.frozen()});
  }
  return stages;
}

v1::Evaluation ToProto(const Evaluation& evaluation) {
  v1::Evaluation message;
  message.set_classes(static_cast<std::uint32_t>(evaluation.classes()));
  const auto& confusion = evaluation.confusion_counts();
  const auto& histogram = evaluation.histogram_counts();
  message.mutable_confusion()->Add(confusion.begin(), confusion.end());
  message.mutable_histogram()->Add(histogram.begin(), histogram.end());
  message.set_loss_sum(evaluation.loss_sum());
  return message;
}

StatusOr<Evaluation> FromProto(const v1::Evaluation& message) {
  return Evaluation::FromCounts(
      ToInt(message.classes()), {message.confusion().begin(), message.confusion().end()},
      {message.histogram().begin(), message.histogram().end()}, message.loss_sum());
}

}  // namespace consilium
