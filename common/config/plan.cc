#include "common/config/plan.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/unknown_field_set.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/file.h"
#include "common/config/yaml_message.h"
#include "common/wire/convert.h"

namespace consilium {
namespace {

constexpr std::uint32_t kMaxRounds = 100'000;
constexpr std::uint32_t kMaxBatchSize = 4096;
constexpr std::uint32_t kMaxLocalEpochs = 10'000;
constexpr std::uint32_t kMaxLocalSteps = 10'000'000;
constexpr std::uint32_t kMaxQuorum = 1'000'000;
constexpr std::uint32_t kMaxDeadlineSeconds = 30 * 24 * 3600;
constexpr std::uint32_t kMaxRoundAttempts = 1000;
constexpr double kMaxNorm = 1e12;
constexpr int kMaxStages = 100;

Status CheckRange(std::string_view field, double value, double low, double high) {
  if (value >= low && value <= high) return OkStatus();
  return InvalidArgument("{} is {}, want {} to {}", field, value, low, high);
}

Status CheckChoice(std::string_view field, const std::string& value,
                   const std::vector<std::string_view>& choices) {
  if (std::find(choices.begin(), choices.end(), value) != choices.end()) return OkStatus();
  return InvalidArgument("{} is '{}', want one of: {}", field, value, fmt::join(choices, ", "));
}

Status CheckStage(const v1::Stage& stage) {
  if (stage.tensors().empty() || std::ranges::count(stage.tensors(), "") > 0) {
    return InvalidArgument("training.stages: want each to name tensors");
  }
  if (stage.has_rate()) {
    CSL_RETURN_IF_ERROR(CheckRange("training.stages.rate", stage.rate(), 1e-6, 1000));
  }
  return CheckRange("training.stages.frozen", stage.frozen(), 0, 1);
}

// What a hospital may have a network learn otherwise than by plain steps.
Status CheckCraft(const v1::Training& training) {
  CSL_RETURN_IF_ERROR(CheckRange("training.ema_decay", training.ema_decay(), 0, 0.99999));
  const std::uint32_t micro = training.micro_batch_size();
  if (micro == 1 || (micro > 0 && training.batch_size() % micro != 0)) {
    return InvalidArgument(
        "training.micro_batch_size is {}, want a divisor of batch_size, {}, above 1", micro,
        training.batch_size());
  }
  CSL_RETURN_IF_ERROR(
      CheckChoice("training.class_counts", training.class_counts(), {"own", "federated", ""}));
  if (training.class_counts() == "federated" && training.class_weights() == "none") {
    return InvalidArgument("training.class_counts federated wants class_weights that are not none");
  }
  if (training.stages_size() > kMaxStages) {
    return InvalidArgument("training.stages: {}, want at most {}", training.stages_size(),
                           kMaxStages);
  }
  for (const v1::Stage& stage : training.stages()) CSL_RETURN_IF_ERROR(CheckStage(stage));
  return OkStatus();
}

Status CheckTraining(const v1::Training& training) {
  if (training.local_epochs() == 0 && training.local_steps() == 0) {
    return InvalidArgument("training: want local_epochs or local_steps above 0");
  }
  CSL_RETURN_IF_ERROR(
      CheckRange("training.local_epochs", training.local_epochs(), 0, kMaxLocalEpochs));
  CSL_RETURN_IF_ERROR(
      CheckRange("training.local_steps", training.local_steps(), 0, kMaxLocalSteps));
  CSL_RETURN_IF_ERROR(CheckRange("training.batch_size", training.batch_size(), 1, kMaxBatchSize));
  CSL_RETURN_IF_ERROR(
      CheckChoice("training.optimizer", training.optimizer(), {"sgd", "adamw", "lamb"}));
  CSL_RETURN_IF_ERROR(CheckRange("training.learning_rate", training.learning_rate(), 1e-12, 100));
  CSL_RETURN_IF_ERROR(CheckRange("training.momentum", training.momentum(), 0, 0.9999));
  CSL_RETURN_IF_ERROR(CheckRange("training.weight_decay", training.weight_decay(), 0, 10));
  CSL_RETURN_IF_ERROR(
      CheckChoice("training.schedule", training.schedule(), {"constant", "cosine", "one_cycle"}));
  CSL_RETURN_IF_ERROR(CheckRange("training.warmup", training.warmup(), 0, 1));
  CSL_RETURN_IF_ERROR(CheckRange("training.clip_norm", training.clip_norm(), 0, 1e9));
  CSL_RETURN_IF_ERROR(CheckChoice("training.class_weights", training.class_weights(),
                                  {"none", "inverse", "effective"}));
  CSL_RETURN_IF_ERROR(
      CheckChoice("training.loss", training.loss(), {"cross_entropy", "focal", ""}));
  CSL_RETURN_IF_ERROR(CheckRange("training.focal_gamma", training.focal_gamma(), 0, 100));
  CSL_RETURN_IF_ERROR(CheckRange("training.label_smoothing", training.label_smoothing(), 0, 0.9));
  if (training.loss() == "focal" && training.label_smoothing() > 0) {
    return InvalidArgument("training.label_smoothing goes with training.loss cross_entropy alone");
  }
  CSL_RETURN_IF_ERROR(CheckRange("training.mixup_alpha", training.mixup_alpha(), 0, 1));
  CSL_RETURN_IF_ERROR(CheckChoice("training.sampler", training.sampler(),
                                  {"shuffled", "class_balanced", "patient_balanced", ""}));
  if (training.sampler() == "class_balanced" && training.class_weights() != "none") {
    return InvalidArgument(
        "training.sampler class_balanced balances already: want training.class_weights none, not "
        "'{}'",
        training.class_weights());
  }
  CSL_RETURN_IF_ERROR(CheckCraft(training));
  const v1::Augmentation& augmentation = training.augmentation();
  CSL_RETURN_IF_ERROR(CheckRange("training.augmentation.rotation_degrees",
                                 augmentation.rotation_degrees(), 0, 180));
  CSL_RETURN_IF_ERROR(CheckRange("training.augmentation.shift", augmentation.shift(), 0, 0.5));
  CSL_RETURN_IF_ERROR(CheckRange("training.augmentation.scale", augmentation.scale(), 0, 0.9));
  CSL_RETURN_IF_ERROR(
      CheckRange("training.augmentation.contrast", augmentation.contrast(), 0, 0.9));
  CSL_RETURN_IF_ERROR(
      CheckRange("training.augmentation.brightness", augmentation.brightness(), 0, 0.9));
  return CheckRange("training.augmentation.cutout", augmentation.cutout(), 0, 0.9);
}

bool IsAdaptive(const std::string& strategy) {
  return strategy == "fedadagrad" || strategy == "fedadam" || strategy == "fedyogi";
}

Status CheckStrategy(const v1::Strategy& strategy) {
  const std::string& name = strategy.name();
  CSL_RETURN_IF_ERROR(
      CheckChoice("strategy.name", name,
                  {"fedavg", "fedprox", "fednova", "scaffold", "fedavgm", "fedadagrad", "fedadam",
                   "fedyogi", "median", "trimmed_mean", "krum", ""}));
  CSL_RETURN_IF_ERROR(CheckRange("strategy.proximal_mu", strategy.proximal_mu(), 0, 1e6));
  if ((name == "fedprox") != (strategy.proximal_mu() > 0)) {
    return InvalidArgument("strategy: proximal_mu above 0 and the name fedprox go together");
  }
  const bool steps = name == "fedavgm" || IsAdaptive(name);
  if (steps != (strategy.server_learning_rate() > 0)) {
    return InvalidArgument(
        "strategy: server_learning_rate above 0 goes with fedavgm (with 1 - server_momentum it "
        "goes as fast as the average) and fedadagrad, fedadam, fedyogi (often 0.01)");
  }
  CSL_RETURN_IF_ERROR(
      CheckRange("strategy.server_learning_rate", strategy.server_learning_rate(), 0, 1000));
  CSL_RETURN_IF_ERROR(
      CheckRange("strategy.server_momentum", strategy.server_momentum(), 0, 0.9999));
  CSL_RETURN_IF_ERROR(CheckRange("strategy.server_beta2", strategy.server_beta2(), 0, 0.999999));
  if (!IsAdaptive(name)) return OkStatus();
  return CheckRange("strategy.server_tau", strategy.server_tau(), 1e-12, 1);
}

// A network that labels pixels has a loss of its own, and no classes to balance.
Status CheckLabelsPixels(const v1::Training& training) {
  if (training.class_weights() != "none" || training.sampler() == "class_balanced" ||
      training.restrict_softmax()) {
    return InvalidArgument(
        "a unet has no classes to balance: want training.class_weights none, no restrict_softmax, "
        "another sampler than class_balanced");
  }
  if (training.loss() == "focal" || training.label_smoothing() > 0 || training.mixup_alpha() > 0) {
    return InvalidArgument(
        "a unet has a loss of its own: want training.loss cross_entropy without label_smoothing "
        "or mixup_alpha");
  }
  return OkStatus();
}

Status CheckEncoding(const v1::RunPlan& plan) {
  const std::string& update = plan.encoding().update();
  CSL_RETURN_IF_ERROR(
      CheckChoice("encoding.update", update, {"float32", "bfloat16", "int8", "top_k", ""}));
  if ((update == "top_k") != (plan.encoding().top_k() > 0)) {
    return InvalidArgument("encoding: a top_k above 0 and update top_k go together");
  }
  CSL_RETURN_IF_ERROR(CheckRange("encoding.top_k", plan.encoding().top_k(), 0, 0.5));
  CSL_RETURN_IF_ERROR(
      CheckChoice("encoding.model", plan.encoding().model(), {"float32", "bfloat16", "int8", ""}));
  if (update.empty() || update == "float32") return OkStatus();
  if (plan.strategy().name() == "scaffold") {  // both ends' variates are of the same update
    return InvalidArgument("strategy scaffold wants encoding.update float32, not '{}'", update);
  }
  const auto& stages = plan.training().stages();
  if (update == "top_k" &&
      std::ranges::any_of(stages, [](const auto& s) { return s.frozen() > 0; })) {
    return InvalidArgument("encoding.update top_k wants no training.stages.frozen");
  }
  return OkStatus();
}

// What of a training and a strategy cannot be had together.
Status CheckGoesTogether(const v1::RunPlan& plan) {
  const v1::Training& training = plan.training();
  const std::string& strategy = plan.strategy().name();
  const bool is_late = plan.late_updates() == "next_round";
  if (std::ranges::any_of(training.stages(), [](const auto& s) { return s.frozen() > 0; }) &&
      is_late) {
    return InvalidArgument("training.stages.frozen wants late_updates drop");
  }
  if (strategy != "fednova" && strategy != "scaffold") return OkStatus();
  // Both take an update for the sum of a site's steps.
  if (training.optimizer() != "sgd") {
    return InvalidArgument("strategy {} wants training.optimizer sgd, not '{}'", strategy,
                           training.optimizer());
  }
  if (training.ema_decay() > 0) {
    return InvalidArgument("strategy {} wants no training.ema_decay", strategy);
  }
  if (strategy == "scaffold" && (is_late || training.stages_size() > 0)) {
    return InvalidArgument("strategy scaffold wants late_updates drop and no training.stages");
  }
  return OkStatus();
}

// What a plan leaves open of a method that it names (Lin et al., ICCV 2017, section 4.1; Reddi et
// al., ICLR 2021, section 4).
void FillIn(v1::RunPlan& plan) {
  v1::Training& training = *plan.mutable_training();
  if (training.loss() == "focal" && !training.has_focal_gamma()) training.set_focal_gamma(2);
  const std::string name = plan.strategy().name();
  if (name != "fedavgm" && !IsAdaptive(name)) return;
  v1::Strategy& strategy = *plan.mutable_strategy();
  if (!strategy.has_server_momentum()) {
    strategy.set_server_momentum(name == "fedadagrad" ? 0 : 0.9);
  }
  if (!strategy.has_server_beta2()) strategy.set_server_beta2(0.99);
  if (!strategy.has_server_tau()) strategy.set_server_tau(1e-3);
}

// Whether the message says something that this version does not understand: it must not be done
// without it.
bool HasUnknownFields(const google::protobuf::Message& message) {
  const auto* reflection = message.GetReflection();
  if (!reflection->GetUnknownFields(message).empty()) return true;
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  reflection->ListFields(message, &fields);
  return std::ranges::any_of(fields, [&](const auto* field) {
    if (field->cpp_type() != field->CPPTYPE_MESSAGE) return false;
    if (!field->is_repeated()) return HasUnknownFields(reflection->GetMessage(message, field));
    for (int i = 0; i < reflection->FieldSize(message, field); ++i) {
      if (HasUnknownFields(reflection->GetRepeatedMessage(message, field, i))) return true;
    }
    return false;
  });
}

Status CheckQuorum(const v1::Quorum& quorum) {
  if (quorum.count() > 0) return CheckRange("quorum.count", quorum.count(), 1, kMaxQuorum);
  if (quorum.fraction() > 0 && quorum.fraction() <= 1) return OkStatus();
  return InvalidArgument("quorum: want a count above 0 or a fraction above 0, up to 1");
}

}  // namespace

v1::RunPlan DefaultPlan() {
  v1::RunPlan plan;
  plan.set_name("run");
  plan.set_seed(1);
  plan.set_rounds(10);
  plan.mutable_quorum()->set_fraction(0.5);
  plan.set_round_deadline_seconds(24 * 3600);
  plan.set_round_attempts(3);
  plan.set_late_updates("drop");
  plan.set_site_names("names");
  plan.mutable_admission()->set_max_norm_ratio(10);

  v1::ModelSpec& model = *plan.mutable_model();
  model.set_architecture("resnet18");
  model.set_channels(1);
  model.set_input_size(224);
  for (const char* name : {"covid", "normal", "pneumonia"}) model.add_classes(name);
  model.set_mean(0.5);
  model.set_stddev(0.25);

  v1::Training& training = *plan.mutable_training();
  training.set_local_epochs(1);
  training.set_batch_size(16);
  training.set_optimizer("sgd");
  training.set_learning_rate(0.01);
  training.set_momentum(0.9);
  training.set_weight_decay(1e-4);
  training.set_schedule("constant");
  training.set_class_weights("inverse");
  return plan;
}

StatusOr<v1::RunPlan> ReadPlan(const std::filesystem::path& path) {
  CSL_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  v1::RunPlan plan = DefaultPlan();
  CSL_RETURN_IF_ERROR(MergeYaml(path.string(), text, &plan));
  FillIn(plan);
  if (const Status status = CheckPlan(plan); !status.ok()) return Annotate(status, path.string());
  return plan;
}

Status CheckPlan(const v1::RunPlan& plan) {
  if (HasUnknownFields(plan)) {
    return InvalidArgument(
        "the plan asks for what this version does not know: install a newer one");
  }
  if (plan.name().empty() || plan.name().size() > 100) {
    return InvalidArgument("name: want 1 to 100 characters");
  }
  CSL_RETURN_IF_ERROR(CheckRange("rounds", plan.rounds(), 1, kMaxRounds));
  CSL_RETURN_IF_ERROR(
      CheckRange("round_deadline_seconds", plan.round_deadline_seconds(), 1, kMaxDeadlineSeconds));
  CSL_RETURN_IF_ERROR(CheckQuorum(plan.quorum()));
  CSL_RETURN_IF_ERROR(CheckRange("round_attempts", plan.round_attempts(), 0, kMaxRoundAttempts));
  CSL_RETURN_IF_ERROR(CheckChoice("late_updates", plan.late_updates(), {"drop", "next_round", ""}));
  CSL_RETURN_IF_ERROR(CheckChoice("site_names", plan.site_names(), {"names", kPseudonyms, ""}));
  const v1::Admission& admission = plan.admission();
  CSL_RETURN_IF_ERROR(CheckRange("admission.max_norm", admission.max_norm(), 0, kMaxNorm));
  CSL_RETURN_IF_ERROR(
      CheckRange("admission.max_norm_ratio", admission.max_norm_ratio(), 0, kMaxNorm));
  const auto spec = FromProto(plan.model());
  if (!spec.ok()) return Annotate(spec.status(), "model");
  if (LabelsPixels(*spec)) CSL_RETURN_IF_ERROR(CheckLabelsPixels(plan.training()));
  CSL_RETURN_IF_ERROR(CheckStrategy(plan.strategy()));
  CSL_RETURN_IF_ERROR(CheckGoesTogether(plan));
  CSL_RETURN_IF_ERROR(CheckEncoding(plan));
  return CheckTraining(plan.training());
}

}  // namespace consilium
